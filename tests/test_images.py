"""The images that guests boot from: checked, and never written."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from web_server import Site, serving

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.machine.places import Places
from harness.machine.seals import sha256
from harness.model import Image, Ssh
from harness.model.guest import Qemu
from harness.providers.qemu.boot import whose
from harness.providers.qemu.images import Images, prepare, refusal
from harness.transport.keys import make_key, read_key

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def machine(tmp_path: Path) -> Qemu:
    make_key(tmp_path / "key")
    disk = tmp_path / "a disk.img"
    disk.write_bytes(b"sector" * 1024)
    return Qemu(disk=str(disk), disk_format="raw", ssh=Ssh(key=str(tmp_path / "key")))


def test_a_key_is_closed_to_others_and_can_be_read_again(tmp_path: Path) -> None:
    made = make_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert read_key(tmp_path / "key").asbytes() == made.asbytes()


def test_a_file_that_is_no_key_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("rubbish")
    for path in (tmp_path / "key", tmp_path / "none"):
        with pytest.raises(NotRunError, match="not a usable private key"):
            read_key(path)


@needs_qemu_img
def test_a_disk_is_given_as_an_overlay(places: Places, machine: Qemu, tmp_path: Path) -> None:
    made = prepare(machine, places, tmp_path, Deadline(30))
    assert made.disk is not None
    assert machine.disk is not None
    said = subprocess.run(
        ["qemu-img", "info", "--output=json", made.disk], capture_output=True, check=True
    )
    facts = json.loads(said.stdout)
    assert (facts["format"], facts["backing-filename"]) == ("qcow2", machine.disk)
    assert facts["backing-filename-format"] == "raw"
    expected = hashlib.sha256(Path(machine.disk).read_bytes()).hexdigest()
    assert made.provenance == {"disk_sha256": expected}
    assert made.host_key is None


@needs_qemu_img
def test_the_format_of_a_disk_is_found(places: Places, machine: Qemu, tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2x"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"]
    subprocess.run(argv, check=True)
    guest = replace(machine, disk=str(disk), disk_format=None)
    made = prepare(guest, places, tmp_path, Deadline(30))
    said = subprocess.run(
        ["qemu-img", "info", "--output=json", str(made.disk)], capture_output=True, check=True
    )
    assert json.loads(said.stdout)["backing-filename-format"] == "qcow2"


def test_a_disk_of_another_sha256_is_refused(places: Places, machine: Qemu, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="refused"):
        prepare(replace(machine, disk_sha256="0" * 64), places, tmp_path, Deadline(30))


def test_a_changed_disk_is_hashed_again(places: Places, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"one")
    assert sha256(disk, places) == hashlib.sha256(b"one").hexdigest()
    disk.write_bytes(b"other")
    assert sha256(disk, places) == hashlib.sha256(b"other").hexdigest()


def test_a_disk_needs_a_key_and_the_tool_that_protects_it(
    machine: Qemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "qemu-img").touch(0o755)
    monkeypatch.setenv("PATH", str(tools))  # whether or not this machine has the tool
    assert "ssh" in (refusal(replace(machine, ssh=Ssh())) or "")
    assert "/none does not exist" in (refusal(replace(machine, disk="/none")) or "")
    monkeypatch.setenv("PATH", "")
    assert "qemu-img" in (refusal(machine) or "")


def details(image: Path) -> dict[str, object]:
    """Return the output of `qemu-img info` for an image."""
    argv = ["qemu-img", "info", "--output=json", str(image)]
    said = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert isinstance(said, dict)
    return said


@needs_qemu_img
@pytest.mark.parametrize(("asked", "size"), [(2, 2 << 30), (1, 3 << 29)])
def test_a_disk_grows_and_never_shrinks(
    asked: int, size: int, places: Places, machine: Qemu, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.qcow2x"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1536M"]
    subprocess.run(argv, check=True)
    before = disk.read_bytes()
    guest = replace(machine, disk=str(disk), disk_format=None, disk_size=asked)
    made = prepare(guest, places, tmp_path, Deadline(30))
    assert made.disk is not None
    assert details(made.disk)["virtual-size"] == size
    assert disk.read_bytes() == before


@needs_qemu_img
@pytest.mark.parametrize(("declared", "kind"), [("qcow2", "raw"), ("raw", "qcow2")])
def test_a_disk_of_another_format_than_declared_is_refused(
    declared: str, kind: str, places: Places, machine: Qemu, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(disk), "1M"], check=True)
    guest = replace(machine, disk=str(disk), disk_format=declared)
    with pytest.raises(ImageError) as caught:
        prepare(guest, places, tmp_path, Deadline(30))
    assert "disk_format" in (caught.value.hint or "")


@needs_qemu_img
def test_a_seed_brings_a_key_of_ours_and_offers_a_host_key(
    places: Places, machine: Qemu, tmp_path: Path
) -> None:
    (tmp_path / "key").unlink()
    guest = replace(machine, seed="nocloud", ssh=Ssh())
    assert refusal(guest) is None
    made = prepare(guest, places, tmp_path, Deadline(30))
    assert made.seed is not None
    content = made.seed.read_bytes()
    assert made.key.get_base64().encode() in content
    assert [key.get_name() for key in made.offered] == ["ssh-ed25519", "ecdsa-sha2-nistp256"]
    assert all(key.get_base64().encode() in content for key in made.offered)
    assert made.host_key is None  # the guest need not accept it
    assert read_key(Path(made.private)).asbytes() == made.key.asbytes()


@needs_qemu_img
def test_a_key_of_the_users_is_what_a_seed_brings(
    places: Places, machine: Qemu, tmp_path: Path
) -> None:
    made = prepare(replace(machine, seed="nocloud"), places, tmp_path, Deadline(30))
    assert made.private == machine.ssh.key
    assert made.seed is not None
    assert read_key(tmp_path / "key").get_base64().encode() in made.seed.read_bytes()


def test_whose_host_key_answered_is_told(tmp_path: Path) -> None:
    ours, other, other_one = (make_key(tmp_path / name) for name in ("ours", "other", "one"))
    offered = Images(ours, "", {}, offered=(other_one, ours))
    assert whose(ours, offered) == "ours"
    assert whose(other, offered) == whose(other, Images(ours, "", {})) != "ours"
    assert whose(ours, Images(other, "", {}, host_key=ours)) == "ours"


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A vendor with an image, and with one whose backing file is ours."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "good"), "1M"], check=True
    )
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(1 << 20))
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(secret)]
    subprocess.run([*argv, str(tmp_path / "evil")], check=True)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = {name: (tmp_path / name).read_bytes() for name in ("good", "evil")}
    with serving(Site(files)) as site:
        yield site


def of_vendor(site: Site, name: str) -> Qemu:
    sha256 = hashlib.sha256(site.files[name]).hexdigest()
    return Qemu(image=Image(site.address(name), sha256=sha256), seed="nocloud")


@needs_qemu_img
def test_a_vendors_image_is_recorded_with_its_address(
    places: Places, vendor: Site, tmp_path: Path
) -> None:
    guest = of_vendor(vendor, "good")
    assert refusal(guest) is None
    facts = prepare(guest, places, tmp_path, Deadline(30)).provenance
    assert guest.image is not None
    assert facts["image"] == guest.image.url
    assert facts["image_sha256"] == facts["disk_sha256"] == guest.image.sha256
    assert facts["image_verified"] == "sha256 of the guest file"


@needs_qemu_img
def test_a_vendors_image_that_wants_a_file_of_ours_is_refused(
    places: Places, vendor: Site, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match=r"has the backing file '.*secret': refused"):
        prepare(of_vendor(vendor, "evil"), places, tmp_path, Deadline(30))


@needs_qemu_img
def test_an_image_that_changed_in_the_cache_is_not_booted(
    places: Places, vendor: Site, tmp_path: Path
) -> None:
    guest = of_vendor(vendor, "good")
    prepare(guest, places, tmp_path, Deadline(30))
    (image,) = places.folder("downloads").glob("*.image")
    image.write_bytes(image.read_bytes() + b"more")
    (second := tmp_path / "second").mkdir()
    made = prepare(guest, places, second, Deadline(30))
    assert made.provenance["disk_sha256"] == guest_sha256(guest)
    assert sha256(image, places) == guest_sha256(guest)
    assert vendor.asked == [None, None]  # twice, from the start


def guest_sha256(guest: Qemu) -> str | None:
    return None if guest.image is None else guest.image.sha256


@needs_qemu_img
def test_the_initrd_of_the_user_is_hashed(places: Places, machine: Qemu, tmp_path: Path) -> None:
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"archive")
    guest = replace(machine, initrd=str(initrd))
    facts = prepare(guest, places, tmp_path, Deadline(30)).provenance
    assert facts["initramfs_sha256"] == hashlib.sha256(b"archive").hexdigest()
    initrd.unlink()
    os.mkfifo(initrd)
    (second := tmp_path / "second").mkdir()
    with pytest.raises(ImageError, match="is a pipe, not a file"):
        prepare(guest, places, second, Deadline(30))


def test_a_kernel_that_is_a_pipe_is_refused(places: Places, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kernel")
    guest = Qemu(kernel=str(tmp_path / "kernel"), initrd="/i", ssh=Ssh(key="/k"))
    with pytest.raises(ImageError, match="is a pipe, not a file"):
        prepare(guest, places, tmp_path, Deadline(30))
