"""The initramfs: read back as the kernel would read it."""

import gzip
import lzma
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.errors import ImageError
from harness.machine.places import Places
from harness.providers.qemu import initramfs
from harness.providers.qemu.cpio import DIRECTORY, FILE, CpioEntry, archive
from harness.providers.qemu.initramfs import GuestKeys, Userland, base, module_content, own
from harness.transport import generate_key
from harness.transport.keys import public_key


def unpack(content: bytes) -> dict[str, tuple[int, bytes]]:
    """Read a newc archive: path to mode and content."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert content[at : at + 6] == b"070701"
        fields = [int(content[at + 6 + 8 * i :][:8], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = content[at + 110 :][: length - 1].decode()
        start = at + (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert start + size == len(content)
            return found
        found[name] = (mode, content[start:][:size])
        at = start + (size + 3) // 4 * 4


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
    return folder


def userland(folder: Path) -> Userland:
    programs = {
        "bin/busybox": b"#!/bin/sh\necho busybox; echo ls; echo sh\n",
        "usr/sbin/dropbear": b"ELF\0libone.so.1\0libc.so.6\0",
    }
    libraries = {
        "lib/x86_64-linux-gnu/libone.so.1": b"\0libtwo.so.2\0",
        "lib/x86_64-linux-gnu/libtwo.so.2": b"\0libc.so.6\0",
        "lib/x86_64-linux-gnu/libc.so.6": b"\0ld-linux-x86-64.so.2\0",
        "lib/x86_64-linux-gnu/libother.so.1": b"",
        "lib64/ld-linux-x86-64.so.2": b"loader",
    }
    roots = (tree(folder / "programs", programs), tree(folder / "libraries", libraries))
    return Userland(roots, b"#!/bin/busybox sh\n")


def test_an_archive_reads_back_and_is_aligned() -> None:
    for size in range(9):
        content = archive([CpioEntry("a", DIRECTORY), CpioEntry("a/file", FILE, b"x" * size)])
        assert len(content) % 4 == 0
        assert unpack(content) == {"a": (DIRECTORY, b""), "a/file": (FILE, b"x" * size)}


def test_the_base_holds_what_dropbear_needs_and_no_more(places: Places, tmp_path: Path) -> None:
    found = unpack(base(userland(tmp_path), (), places).read_bytes())
    libraries = {
        name.rpartition("/")[2] for name in found if name.startswith("lib/x86_64-linux-gnu/")
    }
    assert libraries >= {"libone.so.1", "libtwo.so.2", "libc.so.6"}
    assert "libother.so.1" not in libraries
    assert found["lib64/ld-linux-x86-64.so.2"][1] == b"loader"
    assert found["bin/ls"] == (stat.S_IFLNK | 0o777, b"/bin/busybox")
    assert stat.S_ISCHR(found["dev/console"][0])
    assert b"nobody:*:65534:65534" in found["etc/passwd"][1]


def test_folders_come_before_what_is_in_them(places: Places, tmp_path: Path) -> None:
    seen = set[str]()
    for name, (mode, _) in unpack(base(userland(tmp_path), (), places).read_bytes()).items():
        assert name == "." or str(Path(name).parent) in seen, name
        if stat.S_ISDIR(mode):
            seen.add(name)


def test_modules_are_loaded_in_an_order_that_works(places: Places, tmp_path: Path) -> None:
    modules = tree(
        tmp_path / "modules",
        {
            "kernel/drivers/net/virtio_net.ko.xz": lzma.compress(b"net"),
            "kernel/drivers/virtio/virtio-ring.ko": b"ring",
            "kernel/net/core/failover.ko.zst": zstandard.ZstdCompressor().compress(b"failover"),
            "kernel/sound/snd.ko": b"sound",
        },
    )
    found = unpack(base(userland(tmp_path), [modules], places).read_bytes())
    assert found["modules/order"][1] == b"virtio_ring.ko\nfailover.ko\nvirtio_net.ko\n"
    assert found["modules/virtio_net.ko"][1] == b"net"
    assert found["modules/failover.ko"][1] == b"failover"
    assert "modules/snd.ko" not in found


def test_the_base_is_made_once_and_again_when_the_script_changes(
    places: Places, tmp_path: Path
) -> None:
    first = base(userland(tmp_path), (), places)
    made = first.stat().st_mtime_ns
    assert base(userland(tmp_path), (), places) == first
    assert first.stat().st_mtime_ns == made
    assert base(Userland(userland(tmp_path).roots, b"other"), (), places) != first


@pytest.mark.parametrize("damage", [b"", b"cut"])
def test_a_cached_archive_that_changed_is_built_anew(
    places: Places, tmp_path: Path, damage: bytes
) -> None:
    first = base(userland(tmp_path), (), places)
    content = first.read_bytes()
    first.write_bytes(damage)
    assert base(userland(tmp_path), (), places) == first
    assert first.read_bytes() == content


def test_a_userland_without_dropbear_is_an_image_error(places: Places, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="busybox"):
        base(Userland((tmp_path,), b""), (), places)


LISTING = """\
import sys
from pathlib import Path
from harness.errors import ImageError
from harness.providers.qemu.initramfs import _applets
program = Path(sys.argv[1], "busybox")
program.write_text("#!/bin/sh\\necho ls; echo sh\\n")
program.chmod(0o755)
try:
    print(*_applets(program))
except ImageError as exc:
    print(exc, exc.hint)
"""


def in_a_noexec_cache(tmp_path: Path, scratch: str) -> str:
    """List the commands of a busybox in a folder that is mounted noexec; return what is said."""
    cache = tmp_path / "cache"
    cache.mkdir()
    mounted = 'mount -t tmpfs -o noexec none "$0" && exec env TMPDIR="$1" "$2" -c "$3" "$0"'
    argv = ["unshare", "--mount", "sh", "-c", mounted, str(cache), scratch.format(cache=cache)]
    done = subprocess.run([*argv, sys.executable, LISTING], capture_output=True, check=False)
    if b"unshare" in done.stderr or b"mount:" in done.stderr:
        pytest.skip(f"mount namespaces are not allowed here: {done.stderr.decode().strip()}")
    return done.stdout.decode() + done.stderr.decode()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here (util-linux)")
def test_a_cache_that_is_mounted_noexec_is_put_up_with(tmp_path: Path) -> None:
    assert in_a_noexec_cache(tmp_path, str(tmp_path)) == "ls sh\n"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here (util-linux)")
def test_where_nothing_can_be_run_it_is_said_what_to_set(tmp_path: Path) -> None:
    said = in_a_noexec_cache(tmp_path, "{cache}")
    assert "busybox cannot be run, and neither can a copy in" in said
    assert "Let XDG_CACHE_HOME or TMPDIR name a folder that is not" in said


def test_each_boot_has_keys_of_its_own() -> None:
    client, host = generate_key(), Ed25519PrivateKey.generate()
    found = unpack(own(GuestKeys(client, host)))
    mode, line = found["root/.ssh/authorized_keys"]
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(found["root/.ssh"][0]) == 0o700
    assert line.decode() == f"ssh-ed25519 {client.get_base64()}\n"
    kept = found["etc/dropbear/host_key"][1]
    assert kept[:4] + kept[4:15] == struct.pack(">I", 11) + b"ssh-ed25519"
    assert struct.unpack(">I", kept[15:19]) == (64,)
    assert kept[19:51] == host.private_bytes_raw()
    assert kept[51:] == host.public_key().public_bytes_raw()
    assert public_key(host).asbytes().endswith(host.public_key().public_bytes_raw())


@pytest.mark.parametrize("name", ["m.ko.xz", "m.ko.zst", "m.ko.gz"])
def test_a_damaged_module_is_an_image_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(ImageError, match="damaged"):
        module_content(tmp_path / name)


def test_modules_come_in_every_compression(tmp_path: Path) -> None:
    packed = {
        "m.ko": b"code",
        "m.ko.gz": gzip.compress(b"code"),
        "m.ko.xz": lzma.compress(b"code"),
        "m.ko.zst": zstandard.ZstdCompressor().compress(b"code"),
    }
    for name, content in packed.items():
        (tmp_path / name).write_bytes(content)
        assert module_content(tmp_path / name) == b"code"
    assert initramfs.module_name(Path("virtio-rng.ko.xz")) == "virtio_rng"
