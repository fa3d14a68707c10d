"""The disk with a run's servers: made once, given only to guests of a run that asks for servers."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from fake_archive import offer, prepare
from fakes import FakeTransport
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.leases import hold
from harness.machine import process
from harness.machine.places import Places
from harness.model import AgentSource, DebianKernel, Guest
from harness.model.guest import Qemu
from harness.protocols import Completed
from harness.providers.packages import mirror
from harness.providers.packages.roots import BASE, Root
from harness.providers.qemu import images, initramfs, server_disk
from harness.providers.qemu.boot import QemuBoot
from harness.providers.qemu.command import Parts, command_line
from harness.providers.qemu.images import Images
from harness.providers.qemu.server_disk import ServerDisk
from harness.transport.keys import make_key

ROOT = Root(0.0, "/cache/servers/stable-1", "stable", ("server 2 ab",), {"none": "not there"})

DISK = ServerDisk(Path("/cache/servers/stable-1.ext4"), "12" * 32, ROOT)

OURS = Qemu(debian=DebianKernel(("stable",), "linux-image-cloud"))

needs_tools = pytest.mark.skipif(
    mirror.refusal() is not None or server_disk.refusal() is not None,
    reason="no dpkg-deb or mke2fs here, or not amd64",
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@needs_tools
def test_an_image_is_made_once_of_all_that_is_in_the_root(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = prepare(tmp_path, monkeypatch)
    files = {"usr/sbin/server": "x" * 300_000, "etc/server.conf": "configuration"}
    offer(archive / "stable", "server", "2", files=files)
    for name in BASE:
        offer(archive / "stable", name, "1")
    made = server_disk.prepare(("server", "none"), "stable-backports", places, Deadline(60))
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert dict(made.root.missing) == {"none": "Debian stable has no package none"}
    assert inside(made.path, "cat /etc/server.conf") == "configuration"
    assert "root:*:0:0" in inside(made.path, "cat /etc/passwd")
    assert '"/usr/bin"' not in inside(made.path, "stat /bin")
    assert "User:     0   Group:     0" in inside(made.path, "stat /")
    check = subprocess.run([tool("e2fsck"), "-fn", str(made.path)], capture_output=True)
    assert check.returncode == 0, check.stdout
    changed = made.path.stat().st_ctime_ns
    assert server_disk.prepare(("server", "none"), "stable", places, Deadline(60)) == made
    assert made.path.read_bytes()
    made.path.write_bytes(b"damaged")
    again = server_disk.prepare(("server", "none"), "stable", places, Deadline(60))
    assert again.path.stat().st_ctime_ns != changed
    assert inside(again.path, "cat /etc/server.conf") == "configuration"
    assert list((places.cache / "scratch").iterdir()) == []


def tool(name: str) -> str:
    found = process.installed(name)
    assert found is not None
    return found


def inside(image: Path, request: str) -> str:
    argv = [tool("debugfs"), "-R", request, str(image)]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout


@needs_tools
def test_an_image_that_cannot_be_made_leaves_nothing(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = prepare(tmp_path, monkeypatch)
    for name in BASE:
        offer(archive / "stable", name, "1")
    broken = tmp_path / "bin" / server_disk.TOOL
    broken.write_text("#!/bin/sh\necho 'no room' >&2; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ImageError, match="no room"):
        server_disk.prepare((), "stable", places, Deadline(60))
    assert [path for path in places.folder("servers").iterdir() if path.is_file()] == []
    assert list((places.cache / "scratch").iterdir()) == []


def test_only_a_run_with_servers_needs_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "refusal", lambda: None)
    monkeypatch.setattr(process, "SBIN", ())
    monkeypatch.setenv("PATH", "/nowhere")
    assert images.refusal(OURS) is None
    assert images.refusal(OURS, servers=True) == (
        "mke2fs not found, needed to make the disk with the servers"
    )


def line(*, servers: bool) -> list[str]:
    parts = Parts("tag", "Linux", "tcg", Path("log"), 3, kernel=Path("k"), initrd=Path("i"))
    return command_line(OURS, replace(parts, servers=DISK.path if servers else None))


def test_the_disk_is_one_more_drive_that_is_never_written() -> None:
    with_disk = " ".join(line(servers=True))
    assert f"file={DISK.path},format=raw,if=none,readonly=on,id=servers" in with_disk
    assert "virtio-blk-pci,drive=servers,serial=servers" in with_disk
    assert "virtio-blk" not in " ".join(line(servers=False))


def boot(places: Places, folder: Path, servers: ServerDisk | None) -> QemuBoot:
    facts = {"kernel_sha256": "k", "initramfs_sha256": "i"}
    made = Images(make_key(folder / "key"), "key", facts, Path("k"), Path("i"), told="key")
    guest = Guest("g", "Linux", AgentSource(target="host"), qemu=OURS)
    with hold(places, "g") as tenancy:
        return QemuBoot(guest, OURS, replace(made, servers=servers), "tcg", tenancy, keep=False)


def test_a_saved_guest_is_not_resumed_with_another_disk(places: Places, tmp_path: Path) -> None:
    program = Path("/bin/sh")
    found = set()
    for servers in (None, DISK, replace(DISK, sha256="34" * 32)):
        (tmp_path / "key").unlink(missing_ok=True)
        state = boot(places, tmp_path, servers).keepable(program, places)
        assert state is not None
        found.add(state.folder)
    assert len(found) == 3


def test_the_provenance_says_which_packages_a_guest_has(places: Places, tmp_path: Path) -> None:
    facts = boot(places, tmp_path, DISK).provenance("9")
    assert (facts["servers_suite"], facts["servers_sha256"]) == ("stable", ROOT.sha256)
    (tmp_path / "key").unlink()
    assert "servers_suite" not in boot(places, tmp_path, None).provenance("9")


class Mounts(FakeTransport):
    """A guest whose kernel may mount the disk."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self._status = status

    def run(self, argv: object, **rest: object) -> Completed:
        assert argv == ["test", "-e", "/servers/etc/passwd"]
        return Completed(self._status, b"", b"")


def test_a_kernel_without_the_drivers_has_no_servers() -> None:
    seen = server_disk.seen(Mounts(0), DISK, Deadline(5))
    assert (seen.path, seen.missing) == ("/servers", {"none": "not there"})
    seen = server_disk.seen(Mounts(1), DISK, Deadline(5))
    assert seen.path == ""
    assert set(seen.missing) == {"server", "none"}
    assert "virtio-blk" in seen.missing["server"]


def test_a_guest_without_servers_loads_no_driver_for_them(tmp_path: Path) -> None:
    (tmp_path / "virtio_blk.ko").write_bytes(b"driver")
    paths = {entry.path for entry in initramfs.drivers([tmp_path])}
    assert "modules/virtio_blk.ko" not in paths
    wanted = (*initramfs.MODULES, *server_disk.MODULES)
    paths = {entry.path for entry in initramfs.drivers([tmp_path], wanted)}
    assert "modules/virtio_blk.ko" in paths
