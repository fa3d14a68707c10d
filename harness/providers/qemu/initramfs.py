"""Builds the root file system of a Linux guest without a disk: busybox, dropbear, drivers.

The archive is built once per kernel and userland. The guest gets its login key after it has booted
(login_line.py). A box has its keys in a second archive instead: the kernel unpacks archives that
follow each other (buffer-format.rst).
"""

import base64
import gzip
import hashlib
import lzma
import shutil
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import paramiko
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine import seals
from harness.machine.files import write_whole
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute
from harness.protocols import Completed
from harness.providers import reseed
from harness.providers.qemu.cpio import (
    DIRECTORY,
    FILE,
    LINK,
    PRIVATE,
    PROGRAM,
    SECRET,
    CpioEntry,
    archive,
)
from harness.transport.keys import key_text

MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net", "tun"),
)
"""In load order: each module comes after those it needs. One that is built in has no file."""

FOLDERS = (
    *("bin", "dev", "etc", "etc/dropbear", "lib", "lib64", "lib/x86_64-linux-gnu", "modules"),
    *("proc", "run", "sbin", "sys", "tmp", "usr", "usr/bin", "usr/sbin", "var", "var/run"),
)

ACCOUNTS = {
    "etc/passwd": "root:*:0:0:root:/root:/bin/sh\n"
    "nobody:*:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
}

CANNOT_RUN = 127
"""The status of `execute` for a program that does not start."""

LAYOUT = 2
"""Increase this when you change how entries are made, so that cached archives are rebuilt."""

LIST_SECONDS = 10.0
"""Limit for busybox, on this machine, to list its commands."""

MODULE_LIMIT = 16 << 20


class GuestKeys(Struct, frozen=True):
    """The key that may log in, and the guest's host key; both made for one boot."""

    authorized: paramiko.PKey
    host: Ed25519PrivateKey

    @property
    def login(self) -> str:
        """The line for authorized_keys."""
        return key_text(self.authorized)

    @property
    def told(self) -> str:
        """The line for `guests/setup/init.sh`: the host key for dropbear, and `login`."""
        return f"{base64.b64encode(_dropbear_key(self.host)).decode()} {self.login}"


class Userland(Struct, frozen=True):
    """Folders with unpacked programs and libraries, and the script that runs first in the guest.

    `programs` are paths in the guest of what comes besides busybox, with its libraries.
    """

    roots: tuple[Path, ...]
    init: bytes
    programs: tuple[str, ...] = ("usr/sbin/dropbear",)


def base(
    userland: Userland,
    modules: Sequence[Path],
    places: Places,
    wanted: Sequence[str] = MODULES,
) -> Path:
    """Return the archive that all boots of a kernel share; build it only the first time.

    `modules` are folders that contain the kernel's modules, at any depth; the guest loads those
    that are `wanted`, in that order.
    """
    inputs = (*(str(root) for root in userland.roots), *(str(path) for path in modules))
    shape = repr((tuple(wanted), FOLDERS, ACCOUNTS, LAYOUT)).encode()
    key = hashlib.sha256("\0".join(inputs).encode() + userland.init + shape)
    cached = places.folder("initramfs") / f"{key.hexdigest()[:32]}.cpio"
    if seals.unbroken(cached, places, afresh=True) is None:
        write_whole(cached, archive([*system(userland), *drivers(modules, wanted)]))
        seals.seal(cached, places)
    return cached


def own(keys: GuestKeys) -> bytes:
    """Return an archive of keys: `keys.authorized` may log in, `keys.host` is the host key."""
    return archive(
        (
            CpioEntry("root", PRIVATE),
            CpioEntry("root/.ssh", PRIVATE),
            CpioEntry("root/.ssh/authorized_keys", SECRET, f"{keys.login}\n".encode()),
            CpioEntry("etc/dropbear/host_key", SECRET, _dropbear_key(keys.host)),
        )
    )


def _dropbear_key(key: Ed25519PrivateKey) -> bytes:
    """Return a private key in dropbear's format (buf_put_ed25519_priv_key, ed25519.c)."""
    pair = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", pair))


def system(userland: Userland) -> Iterator[CpioEntry]:
    """Yield folders, accounts without passwords, and programs with their libraries."""
    for folder in (".", *FOLDERS):
        yield CpioEntry(folder, DIRECTORY)
    yield CpioEntry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    yield CpioEntry("init", PROGRAM, userland.init)
    for path, text in ACCOUNTS.items():
        yield CpioEntry(path, FILE, text.encode())
    files = {path.name: path for root in userland.roots for path in sorted(root.rglob("*"))}
    for name in ("busybox", *(Path(program).name for program in userland.programs)):
        if name not in files:
            raise ImageError(f"the packages for a guest's userland do not contain {name}")
    yield CpioEntry("bin/busybox", PROGRAM, files["busybox"].read_bytes())
    yield CpioEntry("bin/reseed", PROGRAM, reseed.program())
    for applet in _applets(files["busybox"]):
        yield CpioEntry(f"bin/{applet}", LINK, b"/bin/busybox")
    contents = {path: files[Path(path).name].read_bytes() for path in userland.programs}
    for path, content in contents.items():
        yield CpioEntry(path, PROGRAM, content)
    # The programs name the dynamic loader by this path.
    yield CpioEntry(
        "lib64/ld-linux-x86-64.so.2", PROGRAM, files["ld-linux-x86-64.so.2"].read_bytes()
    )
    for name, content in _libraries(contents.values(), files):
        yield CpioEntry(f"lib/x86_64-linux-gnu/{name}", PROGRAM, content)


def _libraries(programs: Iterable[bytes], files: Mapping[str, Path]) -> Iterator[tuple[str, bytes]]:
    """Yield the libraries that programs need, and the libraries that those need.

    Any string of a file that equals a library's name counts: one library too many does no harm.
    """
    rest = {name: path for name, path in files.items() if ".so." in name}
    todo = list(programs)
    while todo:
        content = todo.pop()
        for name in [name for name in rest if b"\0" + name.encode() + b"\0" in content]:
            found = rest.pop(name).read_bytes()
            yield name, found
            todo.append(found)


def _applets(busybox: Path) -> tuple[str, ...]:
    """Run busybox, which is static, to list its commands; a copy if the cache is mounted noexec."""
    done = _listed(busybox)
    if done.status == CANNOT_RUN:
        with TemporaryDirectory() as folder:
            done = _listed(Path(shutil.copy(busybox, folder)))
    names = done.stdout.decode(errors="replace").split()
    if done.status == CANNOT_RUN:
        raise ImageError(
            f"{busybox} cannot be run, and neither can a copy in {gettempdir()}: {done.complaint}",
            hint="are both mounted noexec? Let XDG_CACHE_HOME or TMPDIR name a folder that is not",
        )
    if "sh" not in names:
        raise ImageError(f"{busybox} --list said {done.stderr[:200]!r}")
    return tuple(name for name in names if name != "busybox")


def _listed(busybox: Path) -> Completed:
    try:
        return execute([str(busybox), "--list"], Deadline(LIST_SECONDS))
    except ToolTimeoutError as exc:
        raise ImageError(f"{busybox} --list did not end") from exc


def drivers(folders: Iterable[Path], wanted: Sequence[str] = MODULES) -> Iterator[CpioEntry]:
    """Yield the wanted modules, uncompressed, and the list of them in load order."""
    found = {module_name(path): path for folder in folders for path in folder.rglob("*.ko*")}
    order = [name for name in wanted if name in found]
    for name in order:
        yield CpioEntry(f"modules/{name}.ko", FILE, module_content(found[name]))
    yield CpioEntry("modules/order", FILE, "".join(f"{name}.ko\n" for name in order).encode())


def module_name(path: Path) -> str:
    """Return the name that other modules use for it: `-` and `_` are the same."""
    return path.name.partition(".")[0].replace("-", "_")


def module_content(path: Path) -> bytes:
    """Return a module uncompressed: the guest's insmod may not know the compression."""
    content = path.read_bytes()
    try:
        if path.suffix == ".xz":
            return lzma.LZMADecompressor().decompress(content, MODULE_LIMIT)
        if path.suffix == ".zst":
            with zstandard.ZstdDecompressor().stream_reader(content) as reader:
                return reader.read(MODULE_LIMIT)
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError) as exc:
        raise ImageError(f"the module {path.name} is damaged: {exc}") from exc
