"""Copy-on-write disks: QEMU writes to a file of the boot's own, and the image stays as it is."""

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine.files import identity, recall, remember
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute

GIB = 1 << 30

QCOW, VMDK = b"QFI\xfb", (b"KDMV", b"COWD", b"# Disk DescriptorFile")

VERSION, EXTERNAL = slice(4, 8), slice(79, 80)
"""Of qcow2's header (QEMU, docs/interop/qcow2.txt): the version, and the last byte of the
incompatible features, whose bit 2 says that the data are in another file. Version 2 has none."""

FORMAT_HINT = "`disk_format` is what `qemu-img info` says; leave it out, and it is found"


class _Details(Struct, frozen=True, rename="kebab"):
    """What `qemu-img info --output=json` says of an image, as far as it matters."""

    format: str
    virtual_size: int
    backing_filename: str | None = None


def make(
    disk: Path, declared: str | None, size: int | None, into: Path, deadline: Deadline
) -> None:
    """Make an overlay over `disk`, of at least `size` GiB; raise `ImageError`."""
    details = _inspect(disk, deadline)
    # A raw image of an image is a mistake: a guest's first sector is never a qcow2 header.
    if declared not in (None, details.format) and details.format != "raw":
        raise ImageError(f"{disk} is {details.format}, not {declared}", hint=FORMAT_HINT)
    argv = ["create", "-q", "-f", "qcow2", "-b", str(disk), "-F", declared or details.format]
    grown = [] if (size or 0) * GIB <= details.virtual_size else [f"{size}G"]
    _img([*argv, str(into), *grown], deadline)


def refuse_references(disk: Path, deadline: Deadline) -> None:
    """Raise `ImageError` for an image that is completed by another file, which may be any of ours.

    Of a stranger's image that is an attack (QEMU, docs/system/images.rst); a user's own may.
    """
    hint = "a vendor's image is one file, qcow2 or raw; this one was not made by a vendor"
    with disk.open("rb") as file:
        header = file.read(EXTERNAL.stop)
    # Before qemu-img looks: it opens what these name, be that on another machine.
    if header.startswith(VMDK):
        raise ImageError(f"{disk} is a vmdk, which names further files: refused", hint=hint)
    newer = header.startswith(QCOW) and header[VERSION] > b"\0\0\0\2"
    if newer and any(byte & 4 for byte in header[EXTERNAL]):
        raise ImageError(f"{disk} has its data in another file: refused", hint=hint)
    details = _inspect(disk, deadline)
    if details.backing_filename is not None:
        wanted = details.backing_filename
        raise ImageError(f"{disk} wants the file {wanted!r} below itself: refused", hint=hint)
    if details.format not in ("qcow2", "raw"):
        raise ImageError(f"{disk} is {details.format}, not qcow2 or raw: refused", hint=hint)


def _inspect(disk: Path, deadline: Deadline) -> _Details:
    """Ask qemu-img, which probes the format."""
    said = _img(["info", "--output=json", str(disk)], deadline)
    try:
        return msgspec.json.decode(said, type=_Details)
    except ValueError as exc:  # no JSON, or a name that is no UTF-8
        raise ImageError(f"qemu-img says nothing usable of {disk}: {exc}") from exc


def _img(words: list[str], deadline: Deadline) -> bytes:
    try:
        done = execute(["qemu-img", *words], deadline)
    except ToolTimeoutError as exc:
        raise ImageError(f"qemu-img {words[0]} did not end in time") from exc
    if done.status != 0:
        said = done.stderr.decode(errors="replace").strip()
        hint = FORMAT_HINT if "format" in said else "`qemu-img check` says whether it is damaged"
        raise ImageError(f"qemu-img: {said}", hint=hint)
    return done.stdout


def disk_sha256(disk: Path, places: Places) -> str:
    """Return a disk image's sha256, computed once for as long as the file stays as it is."""
    name = hashlib.sha256(identity(disk.resolve()).encode()).hexdigest()
    memory = places.folder("disks") / f"{name[:32]}.json"
    known = recall(memory, str)
    if known is not None:
        return known
    with disk.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    remember(memory, sha256)
    return sha256
