"""Lists the shared libraries of a dynamic 64-bit ELF program (elf(5)), and removes one of them."""

import struct
from collections.abc import Iterator

from msgspec import Struct

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5

ENTRY = struct.Struct("<qQ")
"""`d_tag` and `d_un` of an Elf64_Dyn. All targets of the harness are little-endian."""


class _Segment(Struct, frozen=True):
    """A program header: `size` bytes at `offset` in the file are at `address` in memory."""

    kind: int
    offset: int
    address: int
    size: int


def _segments(content: bytes) -> Iterator[_Segment]:
    """Yield the program headers."""
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for header in range(table, table + size * count, size):
        kind, offset, address, length = struct.unpack_from("<I4xQQ8xQ", content, header)
        yield _Segment(kind, offset, address, length)


def dynamic(content: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Return the offset of the dynamic section in the file, and its entries; none if static."""
    for segment in _segments(content):
        if segment.kind == PT_DYNAMIC:
            part = content[segment.offset : segment.offset + segment.size]
            return segment.offset, [(tag, value) for tag, value in ENTRY.iter_unpack(part)]
    return 0, []


def at(content: bytes, address: int) -> int:
    """Return the offset in the file of a memory address; raise `ValueError` if it has none."""
    for segment in _segments(content):
        if segment.kind == PT_LOAD and segment.address <= address < segment.address + segment.size:
            return segment.offset + address - segment.address
    raise ValueError(f"no part of the program is loaded at {address:#x}")


def text(content: bytes, start: int) -> str:
    """Return the NUL-terminated string at an offset in the file."""
    return content[start : content.index(b"\0", start)].decode()


def libraries(content: bytes) -> list[str]:
    """Return the shared libraries that the loader looks for, in order."""
    _, entries = dynamic(content)
    return [_name(content, entries, value) for tag, value in entries if tag == DT_NEEDED]


def without(content: bytes, library: str) -> bytes:
    """Return the program without one of its shared libraries.

    The caller must be sure that another library has all symbols that are needed.
    """
    start, entries = dynamic(content)
    kept = [
        (tag, value)
        for tag, value in entries
        if tag != DT_NEEDED or _name(content, entries, value) != library
    ]
    kept += [(DT_NULL, 0)] * (len(entries) - len(kept))
    made = b"".join(ENTRY.pack(tag, value) for tag, value in kept)
    return content[:start] + made + content[start + len(made) :]


def _name(content: bytes, entries: list[tuple[int, int]], value: int) -> str:
    strings = next(address for tag, address in entries if tag == DT_STRTAB)
    return text(content, at(content, strings) + value)
