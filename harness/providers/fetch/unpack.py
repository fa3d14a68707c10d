"""Unpacks a disk image as a stream. Most of an image is empty, so zeros become holes."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import zstandard

from harness.deadline import Deadline
from harness.errors import ImageError

CHUNK = 1 << 20

HOLE = 64 << 10
"""Bytes that become a hole if all are zero: the largest block size of file systems."""

ZSTD_CHUNK = 1 << 10
"""Packed bytes to read at a time: 3 can unpack to 128 KiB (RFC 8878, 3.1.1.2.2)."""

DAMAGES = (lzma.LZMAError, zlib.error, zstandard.ZstdError, gzip.BadGzipFile, EOFError)
"""Exceptions for a file that is cut off, or not packed as its name says."""


def _xz(path: Path) -> Iterator[bytes]:
    with lzma.open(path) as file:
        yield from iter(partial(file.read, CHUNK), b"")


def _gz(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        yield from iter(partial(file.read, CHUNK), b"")


def _bz2(path: Path) -> Iterator[bytes]:
    with bz2.open(path) as file:
        try:
            yield from iter(partial(file.read, CHUNK), b"")
        except OSError as exc:
            if exc.errno is not None:
                raise
            raise EOFError(str(exc)) from exc  # bz2 reports damage as OSError without errno


def _zst(path: Path) -> Iterator[bytes]:
    """Unpack frame by frame: zstandard's own reader does not notice a file that is cut off."""
    decoder = zstandard.ZstdDecompressor().decompressobj()
    with path.open("rb") as file:
        for data in iter(partial(file.read, ZSTD_CHUNK), b""):
            rest = data
            while rest:
                if decoder.eof:
                    decoder = zstandard.ZstdDecompressor().decompressobj()
                yield decoder.decompress(rest)
                rest = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise EOFError


FORMATS: Mapping[str, Callable[[Path], Iterator[bytes]]] = {
    "xz": _xz,
    "gz": _gz,
    "bz2": _bz2,
    "zst": _zst,
}
"""File name extension to unpacker."""


def packing(name: str) -> str | None:
    """Return the packing by the file name's extension, None if it is not packed."""
    ending = name.rpartition(".")[2].lower()
    return ending if ending in FORMATS else None


def unpack(packed: Path, kind: str, into: Path, deadline: Deadline) -> None:
    """Unpack `packed` into the file `into`; raise one of `DAMAGES` if it is damaged."""
    with into.open("wb") as file:
        for piece in FORMATS[kind](packed):
            if deadline.passed:
                raise ImageError(f"unpacking {packed.name} took too long")
            for at in range(0, len(piece), HOLE):
                block = piece[at : at + HOLE]
                if block.count(0) == len(block):
                    file.seek(len(block), 1)
                else:
                    file.write(block)
        file.truncate()
