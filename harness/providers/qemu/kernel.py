"""Extracts the uncompressed vmlinux from a bzImage, which QEMU can boot directly (PVH).

Under emulation, the kernel's own decompressor takes up to half of the boot (zstd the longest).
"""

import io
import lzma
import multiprocessing
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import lz4.block
import zstandard
from msgspec import Struct

from harness.errors import ImageError
from harness.machine import guarded, seals
from harness.machine.files import write_whole
from harness.machine.places import Places

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SETUP_HEADER = 0x1F1
"""Offset of `setup_sects`, the header's first field (Documentation/arch/x86/boot.rst)."""

UNPACKED_LIMIT = 512 << 20

LZ4_LEGACY = b"\x02\x21\x4c\x18"
LZ4_LEGACY_BLOCK = 8 << 20
"""Legacy frames hold blocks of at most 8 MiB (lz4's doc/lz4_Frame_format.md)."""

DAMAGES = (zlib.error, lzma.LZMAError, zstandard.ZstdError, lz4.block.LZ4BlockError)

PT_NOTE = 4
XEN_ELFNOTE_PHYS32_ENTRY = 18
"""The ELF note that QEMU needs in a kernel (read_pvh_start_addr, hw/i386/x86.c)."""


class UnknownFormatError(ValueError):
    """The image cannot be unpacked here; the bzImage itself may still boot."""


class KernelFile(Struct, frozen=True):
    """A kernel file to boot, its sha256, and that of the file that it was made from."""

    path: Path
    sha256: str
    booted_sha256: str


def prepare(image: Path, places: Places) -> KernelFile:
    """Return the form of a kernel image that boots fastest, cached after the first time."""
    try:
        sha256 = seals.sha256(image, places)
    except OSError as exc:
        raise ImageError(f"the kernel cannot be read: {exc}") from exc
    cached = places.folder("kernels") / f"vmlinux-{sha256[:32]}"
    kept = seals.unbroken(cached, places, afresh=True)
    if kept is not None:
        return KernelFile(cached, sha256, kept)
    failure = unpacked_elsewhere(image, cached)
    if isinstance(failure, UnknownFormatError):
        return KernelFile(image, sha256, sha256)
    if failure is not None:
        raise ImageError(f"the kernel {image.name} cannot be unpacked: {failure}") from failure
    return KernelFile(cached, sha256, seals.seal(cached, places))


def unpacked_elsewhere(image: Path, cached: Path) -> Exception | None:
    """Unpack into `cached` in a separate process; return the exception if that failed, or None.

    xz takes 130 MiB for a kernel, more than the whole rest of this program, and the process gives
    them back. We use no process pool: its workers hold both ends of their queue, so they would wait
    for ever if we were killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with ours:
        child = context.Process(target=_unpack, args=(image, cached, theirs))
        try:
            # Close our copy of the child's end: else `recv` would not notice the child's death.
            with theirs:
                child.start()
            failure: Exception | None = ours.recv()
        except (EOFError, BrokenPipeError):
            failure = EOFError("the process that unpacks it was killed")
        if child.pid is not None:
            child.join()
    return failure


def _unpack(image: Path, cached: Path, theirs: "Connection") -> None:
    failure: Exception | None = None
    try:
        write_whole(cached, vmlinux(guarded.read(image, UNPACKED_LIMIT)))
    except (UnknownFormatError, OSError) as exc:
        failure = exc
    with suppress(BrokenPipeError):  # our parent was killed
        theirs.send(failure)


def vmlinux(image: bytes) -> bytes:
    """Unpack a bzImage; raise `UnknownFormatError` if it is damaged or the result cannot boot."""
    payload = _payload_of(image)
    for magic, unpack in UNPACKERS.items():
        if payload.startswith(magic):
            try:
                unpacked = unpack(payload)
            except (ValueError, EOFError, *DAMAGES) as exc:
                raise UnknownFormatError(f"damaged: {exc}") from exc
            # The last 4 bytes are the size: the build appends it, gzip's format ends with it.
            if struct.unpack("<I", payload[-4:])[0] != len(unpacked):
                raise UnknownFormatError("damaged: its size is not the one that it records")
            if not _has_pvh_entry(unpacked):
                raise UnknownFormatError("no PVH entry (CONFIG_PVH), which QEMU needs")
            return unpacked
    raise UnknownFormatError(f"compressed in an unknown way ({payload[:4].hex()})")


def _payload_of(image: bytes) -> bytes:
    """Return the compressed kernel of a bzImage (`payload_offset`, since boot protocol 2.08)."""
    if len(image) < 0x260 or image[0x202:0x206] != b"HdrS":
        raise UnknownFormatError("no Linux boot header")
    (protocol,) = struct.unpack_from("<H", image, 0x206)
    if protocol < 0x208:
        raise UnknownFormatError(f"boot protocol {protocol:#x} has no payload_offset")
    # 0 means 4 (boot.rst, `setup_sects`); the boot sector itself is one more.
    sectors = (image[SETUP_HEADER] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = sectors * 512 + offset
    payload = image[start : start + length]
    if len(payload) != length or not length:
        raise UnknownFormatError("the image is cut off")
    return payload


def _has_pvh_entry(elf: bytes) -> bool:
    """Return whether a 64-bit ELF file has the note by which QEMU boots a vmlinux."""
    if len(elf) < 64 or elf[:6] != b"\x7fELF\x02\x01":
        return False
    (start,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for index in range(count):
        header = elf[start + index * size :][:56]
        if len(header) == 56 and struct.unpack_from("<I", header)[0] == PT_NOTE:
            offset, _, _, length = struct.unpack_from("<QQQQ", header, 8)
            if _has_note(elf[offset:][:length]):
                return True
    return False


def _has_note(notes: bytes) -> bool:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name = notes[at + 12 :][:name_size]
        if name == b"Xen\0" and kind == XEN_ELFNOTE_PHYS32_ENTRY:
            return True
        at += 12 + _padded(name_size) + _padded(size)
    return False


def _padded(size: int) -> int:
    return size + -size % 4


def _lz4(payload: bytes) -> bytes:
    """Unpack LZ4's legacy frame; the lz4 package decodes only its blocks."""
    parts = []
    at = len(LZ4_LEGACY)
    while at + 4 < len(payload):
        (size,) = struct.unpack_from("<I", payload, at)
        # The last 4 bytes are the unpacked size (scripts/Makefile.lib, size_append), not a block.
        block = payload[at + 4 :][:size]
        if len(block) < size:
            break
        parts.append(lz4.block.decompress(block, uncompressed_size=LZ4_LEGACY_BLOCK))
        at += 4 + size
    return b"".join(parts)


def _zstd(payload: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(payload)) as reader:
        return reader.read(UNPACKED_LIMIT)


def _gzip(payload: bytes) -> bytes:
    # The gzip module would read the bytes that the build appended as a second, broken member.
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(payload, UNPACKED_LIMIT)


def _xz(payload: bytes) -> bytes:
    return lzma.LZMADecompressor().decompress(payload, UNPACKED_LIMIT)


UNPACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    LZ4_LEGACY: _lz4,
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\x1f\x8b": _gzip,
    b"\xfd7zXZ": _xz,
}
"""First bytes of the payload to its unpacker."""
