"""Real disk images: that of the box, booted as a user's image, with a seed, and as a vendor's."""

import gzip
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from live_command import Here, need_guest
from web_server import Site, serving

from harness.machine.places import NAME, Places
from harness.machine.resources import guests_folder
from harness.matrix import Value
from harness.model import State
from harness.transport.keys import key_text, make_key, read_key

pytestmark = pytest.mark.vm

TOOLS = ("qemu-system-x86_64", "qemu-img", "apt-get", "dpkg-deb")

GUEST = """\
name: {name}
system: Linux
agent: {{target: x86_64-linux-musl}}
qemu: {{{source}}}
"""

OWN = "the guest's own, learnt at the first login"

SCENARIO = ("--quick", "--scenario", "distribution", "--out", "run")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the box as users do; return its folder."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the box needs {', '.join(missing)}: `reuseport-matrix doctor --install`")
    need_guest("linux-6.1")
    folder = tmp_path_factory.mktemp("box")
    argv = [sys.executable, str(guests_folder() / "box" / "build.py"), "--out", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=280)
    if "cannot fetch" in done.stderr:
        pytest.skip(f"no package for the box: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def written(here: Here, **sources: str) -> None:
    """Write a guest file for each name."""
    for name, source in sources.items():
        text = GUEST.format(name=name, source=source)
        (here.folder / f"{name}.yaml").write_text(text)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts_of(here: Here, name: str) -> Mapping[str, Value]:
    found = here.matrix().guests[name]["provenance"]
    assert isinstance(found, Mapping)
    return found


def measured(here: Here, *names: str) -> None:
    """Check that cells were measured on each guest, and that only the results are left."""
    cells = here.matrix().cells
    assert {cell.guest for cell in cells if cell.state is State.MEASURED} == set(names)
    assert {cell.state for cell in cells} <= {State.MEASURED, State.NOT_APPLICABLE}
    assert here.left() == []


def why_not(here: Here, name: str) -> str:
    """Run a guest that cannot be started; check that no cell has a verdict; return the reason."""
    done = here("run", "--guests", ".", name, *SCENARIO)
    assert done.status == 3, done.err
    assert "Traceback" not in done.err
    assert here.left() == []
    cells = here.matrix().cells
    assert {cell.state for cell in cells} == {State.INFRASTRUCTURE}
    (why,) = {str(cell.why) for cell in cells}
    return why


def test_a_seed_brings_our_key_and_the_host_key_into_two_at_once(here: Here, box: Path) -> None:
    disk = box / "linux-box.qcow2"
    before = sha256(disk)
    source = f"disk: {disk}, seed: nocloud"
    written(here, seeded=source, second=source)
    done = here("run", "--guests", ".", "seeded", "second", *SCENARIO, "--jobs", "2")
    assert done.status == 0, done.err
    measured(here, "seeded", "second")
    for name in ("seeded", "second"):
        facts = facts_of(here, name)
        assert (facts["host_key"], facts["disk_sha256"]) == ("ours", before)
    assert sha256(disk) == before


def test_without_a_seed_the_images_own_key_lets_in(here: Here, box: Path) -> None:
    disk = box / "linux-box.qcow2"
    before = sha256(disk)
    written(here, plain=f"disk: {disk}, disk_size: 1, ssh: {{key: {box / 'key'}}}")
    done = here("run", "--guests", ".", "plain", *SCENARIO)
    assert done.status == 0, done.err
    measured(here, "plain")
    assert "own" in str(facts_of(here, "plain")["host_key"])
    assert sha256(disk) == before
    size = here("exec", "--guests", ".", "plain", "--", "cat", "/sys/block/vda/size")
    assert (size.status, int(size.out) * 512) == (0, 1 << 30), size.err
    assert here.left() == []


@pytest.fixture
def vendor(box: Path) -> Iterator[Site]:
    """A vendor that offers the packed image over a connection that breaks."""
    packed = gzip.compress((box / "linux-box.qcow2").read_bytes(), 1)
    listed = f"SHA256 (linux-box.qcow2.gz) = {hashlib.sha256(packed).hexdigest()}\n"
    files = {"linux-box.qcow2.gz": packed, "CHECKSUM": listed.encode()}
    with serving(Site(files, cut=[1 << 40, 1 << 20])) as site:
        yield site


def with_cache(here: Here) -> None:
    """Give the command its own cache, with the entries that take long to make."""
    cache = here.folder / "cache" / NAME
    cache.mkdir(parents=True)
    for name in ("accelerators", "agents", "zig"):
        (cache / name).symlink_to(Places.of_user().folder(name))
    here.environment["XDG_CACHE_HOME"] = str(cache.parent)
    here.environment["no_proxy"] = "127.0.0.1"


def test_a_vendors_image_is_downloaded_once_and_booted(here: Here, vendor: Site) -> None:
    with_cache(here)
    url, listed = vendor.address("linux-box.qcow2.gz"), vendor.address("CHECKSUM")
    address = f"{{url: '{url}', checksums: '{listed}', unchecked: true}}"
    written(here, vendors=f"image: {address}, seed: nocloud")
    shown = here("guests", "--guests", ".")
    assert shown.status == 0, shown.err
    assert vendor.asked == []  # listing the guests downloads nothing
    done = here("run", "--guests", ".", "vendors", *SCENARIO)
    assert done.status == 0, done.err
    measured(here, "vendors")
    facts = facts_of(here, "vendors")
    unpacked = sha256_of(gzip.decompress(vendor.files["linux-box.qcow2.gz"]))
    assert facts["image"] == url
    assert facts["image_sha256"] == sha256_of(vendor.files["linux-box.qcow2.gz"])
    assert facts["image_verified"] == listed
    assert (facts["disk_sha256"], facts["host_key"]) == (unpacked, "ours")
    assert vendor.asked == [None, None, "bytes=1048576-"]  # the list, and twice the image
    again = here("exec", "--guests", ".", "vendors", "--", "true")
    assert again.status == 0, again.err
    assert len(vendor.asked) == 3
    assert here.left() == []


def test_a_ready_image_is_entered_once_with_its_published_key(
    here: Here, box: Path, vendor: Site
) -> None:
    with_cache(here)
    vendor.cut = []
    vendor.files["id"] = (box / "key").read_bytes()
    url, key = vendor.address("linux-box.qcow2.gz"), vendor.address("id")
    written(here, ready=f"image: {{url: '{url}', key: '{key}', unchecked: true}}")
    done = here("run", "--guests", ".", "ready", *SCENARIO)
    assert done.status == 0, done.err
    assert "Everyone has that key" in done.err
    measured(here, "ready")
    facts = facts_of(here, "ready")
    assert (facts["image_verified"], facts["host_key"]) == ("nothing", OWN)
    assert "first download" in str(facts["image_vouched"])
    assert facts["published_key_sha256"] == sha256_of(vendor.files["id"])
    assert len(vendor.asked) == 2
    # The saved guest goes on with a key of its own; the published one opens nothing any more.
    shown = here("exec", "--guests", ".", "ready", "--", "cat", ".ssh/authorized_keys")
    assert shown.status == 0, shown.err
    (only,) = shown.out.splitlines()
    assert key_text(read_key(box / "key")) not in only
    assert len(vendor.asked) == 2
    make_key(here.folder / "other")
    vendor.files["id"] = (here.folder / "other").read_bytes()
    for path in (here.folder / "cache" / NAME / "downloads").glob("*.key"):
        path.unlink()
    shutil.rmtree(here.folder / "run")
    assert "when it was first used" in why_not(here, "ready")


def test_a_vendors_image_of_another_checksum_is_not_booted(here: Here, vendor: Site) -> None:
    with_cache(here)
    vendor.cut = []
    url = vendor.address("linux-box.qcow2.gz")
    written(here, vendors=f"image: {{url: '{url}', sha256: '{'ab' * 32}'}}, seed: nocloud")
    assert "ab" * 32 in why_not(here, "vendors")


def test_a_key_that_the_guest_does_not_know_is_said(here: Here, box: Path) -> None:
    make_key(here.folder / "other")
    key = "ssh: {key: other}"
    # 5 s, or 20 s if the CPU is emulated; the box then needs 8 s.
    written(here, locked=f"disk: {box / 'linux-box.qcow2'}, {key}, boot_timeout: 5")
    assert "root with our key was refused" in why_not(here, "locked")


def test_a_disk_of_another_format_is_not_booted(here: Here, box: Path) -> None:
    (here.folder / "disk.img").write_bytes(b"\xeb\xfe" + bytes(1 << 20))
    key = f"ssh: {{key: {box / 'key'}}}"
    written(here, wrong=f"disk: disk.img, disk_format: qcow2, {key}")
    assert "qcow2" in why_not(here, "wrong")


def test_a_guest_from_a_disk_goes_on_where_it_was_kept(here: Here, box: Path) -> None:
    disk = box / "linux-box.qcow2"
    own_key = f"disk: {disk}, ssh: {{key: {box / 'key'}}}"
    written(here, seeded=f"disk: {disk}, seed: nocloud, memory: 257", plain=own_key)
    with_cache(here)
    what = "cat .ssh/authorized_keys; dd if=/dev/urandom bs=16 count=1 2>/dev/null | base64"
    for name in ("seeded", "plain"):
        said, starts = [], []
        for number in range(3):
            out = f"{name}{number}"
            done = here("run", "--guests", ".", name, *SCENARIO[:-1], out)
            assert done.status == 0, done.err
            starts.append(here.matrix(out).guests[name]["provenance"])
            shown = here("exec", "--guests", ".", name, "--", "sh", "-c", f"{what}; date +%s")
            assert shown.status == 0, shown.err
            said.append(shown.out.splitlines())
            assert abs(float(said[-1][-1]) - time.time()) < 60
        assert [facts["start"] for facts in starts if isinstance(facts, Mapping)] == [
            "cold",
            "warm",
            "warm",
        ]
        keys = {str(facts["host_key"]) for facts in starts if isinstance(facts, Mapping)}
        assert keys == {OWN if name == "plain" else "ours"}
        assert len({lines[-2] for lines in said}) == 3  # randomness
        assert len({lines[0] for lines in said}) == (3 if name == "seeded" else 1)  # the key
    for memory in (here.folder / "cache" / NAME / "warm").glob("*/memory"):
        memory.write_bytes(memory.read_bytes()[: 4 << 20])
    done = here("run", "--guests", ".", "seeded", *SCENARIO[:-1], "damaged")
    assert (done.status, "the guest is booted" in done.err) == (0, True), done.err
    assert here.left() == []
