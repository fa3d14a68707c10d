"""Makes copy-on-write disks: each boot writes to its own file, and the image does not change."""

from pathlib import Path

import msgspec
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine.process import ToolTimeoutError, execute

GIB = 1 << 30

QCOW, VMDK = b"QFI\xfb", (b"KDMV", b"COWD", b"# Disk DescriptorFile")

VERSION, EXTERNAL = slice(4, 8), slice(79, 80)
"""Bytes of the qcow2 header (QEMU, docs/interop/qcow2.txt): the version, and the last byte of the
incompatible features. Its bit 2 means that the data are in another file. Version 2 has no
features."""

FORMAT_HINT = "set `disk_format` to the format that `qemu-img info` prints, or leave it out"


class _Details(Struct, frozen=True, rename="kebab"):
    """The fields of `qemu-img info --output=json` that we need."""

    format: str
    virtual_size: int
    backing_filename: str | None = None


def make(
    disk: Path, declared: str | None, size: int | None, into: Path, deadline: Deadline
) -> None:
    """Make the overlay `into` over `disk`, of at least `size` GiB; raise `ImageError`."""
    details = _inspect(disk, deadline)
    # Declaring a qcow2 as raw is a mistake: the guest would see its header as first sector.
    if declared not in (None, details.format) and details.format != "raw":
        raise ImageError(f"{disk} is {details.format}, not {declared}", hint=FORMAT_HINT)
    argv = ["create", "-q", "-f", "qcow2", "-b", str(disk), "-F", declared or details.format]
    grown = [] if (size or 0) * GIB <= details.virtual_size else [f"{size}G"]
    _img([*argv, str(into), *grown], deadline)


def refuse_references(disk: Path, deadline: Deadline) -> None:
    """Raise `ImageError` for an image that refers to another file.

    The reference may name any file of this machine, so in a downloaded image it is an attack
    (QEMU, docs/system/images.rst). The user's own images may have one.
    """
    hint = "vendors' images are one file, qcow2 or raw; do not trust this one"
    with disk.open("rb") as file:
        header = file.read(EXTERNAL.stop)
    # Check this before qemu-img runs: it opens the files that these name, even remote ones.
    if header.startswith(VMDK):
        raise ImageError(f"{disk} is a vmdk, which refers to other files: refused", hint=hint)
    newer = header.startswith(QCOW) and header[VERSION] > b"\0\0\0\2"
    if newer and any(byte & 4 for byte in header[EXTERNAL]):
        raise ImageError(f"{disk} keeps its data in another file: refused", hint=hint)
    details = _inspect(disk, deadline)
    if details.backing_filename is not None:
        wanted = details.backing_filename
        raise ImageError(f"{disk} has the backing file {wanted!r}: refused", hint=hint)
    if details.format not in ("qcow2", "raw"):
        raise ImageError(f"{disk} is {details.format}, not qcow2 or raw: refused", hint=hint)


def _inspect(disk: Path, deadline: Deadline) -> _Details:
    """Return what `qemu-img info` finds; it probes the format."""
    said = _img(["info", "--output=json", str(disk)], deadline)
    try:
        return msgspec.json.decode(said, type=_Details)
    except ValueError as exc:  # not JSON, or a name that is not UTF-8
        raise ImageError(f"qemu-img printed nothing usable about {disk}: {exc}") from exc


def _img(words: list[str], deadline: Deadline) -> bytes:
    try:
        done = execute(["qemu-img", *words], deadline)
    except ToolTimeoutError as exc:
        raise ImageError(f"qemu-img {words[0]} did not end in time") from exc
    if done.status != 0:
        said = done.stderr.decode(errors="replace").strip()
        hint = FORMAT_HINT if "format" in said else "`qemu-img check` shows whether it is damaged"
        raise ImageError(f"qemu-img: {said}", hint=hint)
    return done.stdout
