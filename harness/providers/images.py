"""What a guest is booted from: its guest file's kernel, package or disk, made ready and checked."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct
from paramiko.pkey import UnknownKeyType

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.model import Qemu
from harness.places import Places
from harness.providers import debian, initramfs, kernel
from harness.providers.debian import Debian
from harness.providers.initramfs import Keys, Userland
from harness.providers.process import ToolTimeoutError, execute
from harness.resources import guests_folder

CHUNK = 1 << 20


class Images(Struct, frozen=True):
    """Files to boot, how to log in to what they make, and what they were made from.

    `announces`: our own initramfs says on the console when the network is up.
    """

    key: paramiko.PKey
    private: str
    provenance: Mapping[str, str]
    kernel: Path | None = None
    initrd: Path | None = None
    disk: Path | None = None
    host_key: paramiko.PKey | None = None
    announces: bool = False


def refusal(qemu: Qemu) -> str | None:
    """Why the images cannot be had on this machine, without asking any other; None if they can."""
    for path in (qemu.kernel, qemu.initrd, qemu.modules, qemu.disk, qemu.ssh.key):
        if path is not None and not Path(path).exists():
            return f"there is no {path}"
    if qemu.disk is not None and shutil.which("qemu-img") is None:
        return "no qemu-img here, which protects the disk image from being written"
    if not _is_ours(qemu):
        return None if qemu.ssh.key else "a guest with a system of its own needs `ssh: {key: …}`"
    return debian.refusal()


def prepare(qemu: Qemu, places: Places, folder: Path, deadline: Deadline) -> Images:
    """Make everything ready; files of this boot's own go into `folder`."""
    facts: dict[str, str] = {}
    image, modules = _kernel(qemu, places, deadline, facts)
    disk = _overlay(qemu, places, folder, deadline, facts) if qemu.disk is not None else None
    if image is not None and _is_ours(qemu):
        archive = _archive(modules, places, deadline)
        return _with_keys(image, archive, folder, facts)
    assert qemu.ssh.key is not None
    initrd = None if qemu.initrd is None else Path(qemu.initrd)
    key = read_key(Path(qemu.ssh.key))
    return Images(key, qemu.ssh.key, facts, image, initrd, disk)


def read_key(path: Path) -> paramiko.PKey:
    """Return a private key of any kind from its file."""
    try:
        return paramiko.PKey.from_path(path)
    except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as exc:
        raise NotRunError(f"{path} is no usable private key: {exc}") from exc


def make_key(path: Path) -> paramiko.PKey:
    """Make a key to log in with; it is in a file because a kept guest's later visitors need it."""
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    return read_key(path)


def _is_ours(qemu: Qemu) -> bool:
    """Whether the guest's root file system is the one that we make."""
    return qemu.disk is None and qemu.initrd is None


def _kernel(
    qemu: Qemu, places: Places, deadline: Deadline, facts: dict[str, str]
) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the kernel to boot, if it is not on the disk, and folders with its modules."""
    modules: tuple[Path, ...] = () if qemu.modules is None else (Path(qemu.modules),)
    if qemu.kernel is not None:
        image = Path(qemu.kernel)
    elif qemu.debian is not None:
        packages = Debian(places).kernel(qemu.debian, deadline)
        image, package = _image_in(packages)
        facts |= {"package": package.package, "package_version": package.version}
        facts |= {"package_sha256": package.sha256, "suite": package.suite}
        modules = modules or tuple(package.root for package in packages)
    else:
        return None, ()
    ready = kernel.prepare(image, places)
    if qemu.kernel_sha256 is not None and ready.sha256 != qemu.kernel_sha256.lower():
        raise ImageError(
            f"{image} has sha256 {ready.sha256}, not {qemu.kernel_sha256}: refused",
            hint="get the right file, or correct `kernel_sha256` in the guest file",
        )
    facts["kernel_sha256"] = ready.sha256
    return ready.path, modules


def _image_in(packages: tuple[debian.Unpacked, ...]) -> tuple[Path, debian.Unpacked]:
    for package in packages:
        for path in package.root.rglob("vmlinuz*"):
            return path, package
    names = ", ".join(package.package for package in packages)
    raise ImageError(f"there is no kernel in {names}")


def _archive(modules: tuple[Path, ...], places: Places, deadline: Deadline) -> Path:
    roots = tuple(package.root for package in Debian(places).userland(deadline))
    init = guests_folder() / "setup" / "init.sh"
    return initramfs.base(Userland(roots, init.read_bytes()), modules, places)


def _with_keys(image: Path, archive: Path, folder: Path, facts: dict[str, str]) -> Images:
    host = Ed25519PrivateKey.generate()
    private = folder / "key"
    key = make_key(private)
    shared = archive.read_bytes()
    initrd = folder / "initrd"
    initrd.write_bytes(shared + initramfs.own(Keys(key, host)))
    facts["initramfs_sha256"] = hashlib.sha256(shared).hexdigest()
    pinned = initramfs.public_key(host)
    return Images(key, str(private), facts, image, initrd, None, pinned, announces=True)


def _overlay(
    qemu: Qemu, places: Places, folder: Path, deadline: Deadline, facts: dict[str, str]
) -> Path:
    """Make a disk on which the guest writes in place of the image."""
    assert qemu.disk is not None
    disk = Path(qemu.disk)
    facts["disk_sha256"] = found = disk_sha256(disk, places)
    if qemu.disk_sha256 is not None and found != qemu.disk_sha256.lower():
        raise ImageError(f"{disk} has sha256 {found}, not {qemu.disk_sha256}: refused")
    kind = qemu.disk_format or _format(disk, deadline)
    overlay = folder / "disk.qcow2"
    _img(["create", "-q", "-f", "qcow2", "-b", str(disk), "-F", kind, str(overlay)], deadline)
    return overlay


def _format(disk: Path, deadline: Deadline) -> str:
    said = json.loads(_img(["info", "--output=json", str(disk)], deadline))
    return str(said["format"])


def _img(words: list[str], deadline: Deadline) -> bytes:
    try:
        done = execute(["qemu-img", *words], deadline)
    except ToolTimeoutError as exc:
        raise ImageError(f"qemu-img {words[0]} did not end in time") from exc
    if done.status != 0:
        raise ImageError(f"qemu-img: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def disk_sha256(disk: Path, places: Places) -> str:
    """Return a disk image's sha256, computed once for as long as the file stays as it is."""
    file = disk.stat()
    identity = f"{disk.resolve()} {file.st_ino} {file.st_size} {file.st_mtime_ns}"
    name = hashlib.sha256(identity.encode()).hexdigest()
    memory = places.folder("disks") / f"{name[:32]}.json"
    if memory.exists():
        return msgspec.json.decode(memory.read_bytes(), type=str)
    with disk.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    scratch = memory.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(msgspec.json.encode(sha256))
    scratch.replace(memory)
    return sha256
