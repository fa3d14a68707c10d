"""Prepares and checks what a guest boots from: the kernel, package or disk of its guest file."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine import seals
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model.guest import Qemu
from harness.providers.fetch import download, published_key
from harness.providers.packages import mirror
from harness.providers.packages.debian import Debian, Unpacked
from harness.providers.qemu import initramfs, kernel, overlay, seed, server_disk
from harness.providers.qemu.initramfs import GuestKeys, Userland
from harness.providers.qemu.server_disk import ServerDisk
from harness.transport.keys import key_text, make_key, private_text, public_key, read_key

logger = logging.getLogger(__name__)


class Images(Struct, frozen=True):
    """Files to boot, how to log in to the guest, and where the files came from.

    The guest must show `host_key`. It may show one of `offered`, but need not accept the seed's.
    `published` is the image's own key, for the first login only: then `key` replaces it.
    `backing` is the image below the overlay `disk`. `told` is the line that our own initramfs
    reads; None for any other root file system. `typed` is what a console step's placeholders stand
    for. `servers` is the disk with the servers of the run, for guests from our own initramfs.
    """

    key: paramiko.PKey
    private: str
    provenance: Mapping[str, str]
    kernel: Path | None = None
    initrd: Path | None = None
    disk: Path | None = None
    backing: Path | None = None
    seed: Path | None = None
    host_key: paramiko.PKey | None = None
    offered: tuple[paramiko.PKey, ...] = ()
    told: str | None = None
    published: paramiko.PKey | None = None
    typed: Mapping[str, str] = MappingProxyType({})
    servers: ServerDisk | None = None


def refusal(qemu: Qemu, *, servers: bool = False) -> str | None:
    """Return why this machine lacks something for the images, or None; uses no network.

    `servers`: the run asks for servers, which our own initramfs finds on a disk.
    """
    for path in (qemu.kernel, qemu.initrd, qemu.modules, qemu.disk, qemu.ssh.key):
        if path is not None and not os.path.exists(path):  # Path.exists raises for some names
            return f"{path} does not exist"
    if (qemu.disk or qemu.image) and shutil.which("qemu-img") is None:
        return "qemu-img not found, needed to keep the disk image unchanged"
    if _is_ours(qemu):
        return mirror.refusal() or (server_disk.refusal() if servers else None)
    if qemu.ssh.key or (qemu.seed and (qemu.disk or qemu.image)) or qemu.types("public_key"):
        return None
    if qemu.image is not None and qemu.image.key is not None:
        return None
    return (
        "a guest with its own system needs `ssh: {key: …}`, `seed` if its image reads one, or a "
        "`console` that types {public_key}"
    )


def prepare(
    qemu: Qemu,
    places: Places,
    folder: Path,
    deadline: Deadline,
    system: str = "",
    *,
    servers: Sequence[str] = (),
) -> Images:
    """Prepare everything for a boot; files for this boot only go into `folder`.

    A seed has what programs of this `system` read beyond plain cloud-init. `servers` are the
    packages of the servers that the run asks for.
    """
    facts: dict[str, str] = {}
    image, modules = _kernel(qemu, places, deadline, facts)
    if image is not None and _is_ours(qemu):
        archive = _archive(modules, places, deadline, disk=bool(servers))
        facts["initramfs_sha256"] = seals.sha256(archive, places)
        made = _with_keys(image, archive, folder, facts)
        if not servers:
            return made
        disk_of = server_disk.prepare(servers, facts.get("suite"), places, deadline)
        return replace(made, servers=disk_of)
    private = Path(qemu.ssh.key or folder / "key")
    key = make_key(private) if qemu.ssh.key is None else read_key(private)
    disk, backing = _disk(qemu, places, folder, deadline, facts)
    initrd = None if qemu.initrd is None else Path(qemu.initrd)
    if initrd is not None:
        facts["initramfs_sha256"] = _checked(initrd, places)
    iso, offered = _seeded(qemu, system, folder, key)
    host_key, typed = _typed(qemu, key)
    return Images(
        key,
        str(private),
        facts,
        kernel=image,
        initrd=initrd,
        disk=disk,
        backing=backing,
        seed=iso,
        host_key=host_key,
        offered=offered,
        published=_published(qemu, places, deadline, facts),
        typed=typed,
    )


def _is_ours(qemu: Qemu) -> bool:
    """Return whether the guest boots from our own initramfs."""
    return qemu.disk is None and qemu.image is None and qemu.initrd is None


def _kernel(
    qemu: Qemu, places: Places, deadline: Deadline, facts: dict[str, str]
) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the kernel to boot (None if it is on the disk) and the folders with its modules."""
    modules: tuple[Path, ...] = () if qemu.modules is None else (Path(qemu.modules),)
    if qemu.kernel is not None:
        image = Path(qemu.kernel)
    elif qemu.debian is not None:
        packages = Debian(places).kernel(qemu.debian, deadline)
        image, package = image_in(packages)
        facts |= {"package": package.package, "package_version": package.version}
        facts |= {"package_sha256": package.sha256, "suite": package.suite}
        modules = modules or tuple(package.root for package in packages)
    else:
        return None, ()
    # The sha256 is that of the file itself, not of the vmlinux that is unpacked from it.
    ready = kernel.prepare(image, places)
    if qemu.kernel_sha256 is not None and ready.sha256 != qemu.kernel_sha256.lower():
        raise ImageError(
            f"{image} has sha256 {ready.sha256}, not {qemu.kernel_sha256}: refused",
            hint="get the right file, or correct `kernel_sha256` in the guest file",
        )
    facts |= {"kernel_sha256": ready.sha256, "kernel_booted_sha256": ready.booted_sha256}
    return ready.path, modules


def image_in(packages: tuple[Unpacked, ...]) -> tuple[Path, Unpacked]:
    """Return the kernel among packages, and the package that holds it."""
    for package in packages:
        for path in package.root.rglob("vmlinuz*"):
            return path, package
    names = ", ".join(package.package for package in packages)
    raise ImageError(f"no kernel found in {names}")


def _archive(modules: tuple[Path, ...], places: Places, deadline: Deadline, *, disk: bool) -> Path:
    roots = tuple(package.root for package in Debian(places).userland(deadline))
    init = guests_folder() / "setup" / "init.sh"
    wanted = (*initramfs.MODULES, *(server_disk.MODULES if disk else ()))
    return initramfs.base(Userland(roots, init.read_bytes()), modules, places, wanted)


def _checked(file: Path, places: Places) -> str:
    """Return the sha256 of the user's own file; raise `ImageError` if it cannot be read."""
    try:
        return seals.sha256(file, places)
    except OSError as exc:
        raise ImageError(f"{file} cannot be read: {exc.strerror}") from exc


def _with_keys(image: Path, archive: Path, folder: Path, facts: dict[str, str]) -> Images:
    private = folder / "key"
    keys = GuestKeys(make_key(private), Ed25519PrivateKey.generate())
    pinned, login = public_key(keys.host), keys.authorized
    return Images(login, str(private), facts, image, archive, host_key=pinned, told=keys.told)


def _disk(
    qemu: Qemu, places: Places, folder: Path, deadline: Deadline, facts: dict[str, str]
) -> tuple[Path | None, Path | None]:
    """Make an overlay that takes the guest's writes; return it and the image below it."""
    disk, expected = _source(qemu, places, deadline, facts)
    if disk is None:
        return None, None
    facts["disk_sha256"] = found = _checked(disk, places)
    if expected is not None and found != expected.lower():
        hint = "correct `disk_sha256`; if a cached file was changed, delete it to fetch it again"
        raise ImageError(f"{disk} has sha256 {found}, not {expected}: refused", hint=hint)
    if qemu.image is not None:
        overlay.refuse_references(disk, deadline)
    made = folder / "disk.qcow2"
    overlay.make(disk, qemu.disk_format, qemu.disk_size, made, deadline)
    return made, disk


def _source(
    qemu: Qemu, places: Places, deadline: Deadline, facts: dict[str, str]
) -> tuple[Path | None, str | None]:
    """Return the image, the user's or a vendor's, and the sha256 that it must have."""
    if qemu.image is None:
        return (None if qemu.disk is None else Path(qemu.disk)), qemu.disk_sha256
    found = download.fetch(qemu.image, places, deadline)
    facts |= {"image": found.url, "image_sha256": found.sha256, "image_verified": found.verified}
    if found.vouched:
        facts["image_vouched"] = found.vouched
    return Path(found.path), found.unpacked_sha256


def _seeded(
    qemu: Qemu, system: str, folder: Path, key: paramiko.PKey
) -> tuple[Path | None, tuple[paramiko.PKey, ...]]:
    """Make the seed, if the guest file asks for one; return it and the host keys that it offers."""
    if qemu.seed is None:
        return None, ()
    made = seed.make(folder / "seed.iso", system, qemu.ssh.user, key)
    return made.path, made.host_keys.public


def _published(
    qemu: Qemu, places: Places, deadline: Deadline, facts: dict[str, str]
) -> paramiko.PKey | None:
    """Return the image's published key, if its guest file names one; warn of what vouches for it.

    Raise `ImageError` if it cannot be had.
    """
    if qemu.image is None or qemu.image.key is None:
        return None
    found = published_key.fetch(qemu.image, places, deadline)
    image = facts.get("image_vouched") or facts.get("image_verified", "nothing")
    logger.warning(
        "%s is no vendor's own image. What vouches for it: %s. For the key of its first login: %s. "
        "Everyone has that key, so it is replaced at once",
        qemu.image.url,
        image,
        found.vouched,
    )
    facts |= {"published_key_sha256": found.sha256, "published_key_vouched": found.vouched}
    return read_key(found.path)


def _typed(qemu: Qemu, key: paramiko.PKey) -> tuple[paramiko.PKey | None, Mapping[str, str]]:
    """Return the host key that is typed, if one is, and the values of the placeholders."""
    values = {"public_key": key_text(key)}
    if not qemu.types("host_key"):
        return None, values
    made = Ed25519PrivateKey.generate()
    return public_key(made), values | {"host_key": private_text(made).decode()}
