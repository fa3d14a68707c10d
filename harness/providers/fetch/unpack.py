"""Unpacks a disk image as a stream; runs of zeros become holes, for most of an image is empty."""

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
"""Bytes that are looked at together: as large as the largest blocks of file systems."""

ZSTD_CHUNK = 1 << 10
"""Packed bytes at a time: three may stand for a block of 128 KiB (RFC 8878, 3.1.1.2.2)."""

DAMAGES = (lzma.LZMAError, zlib.error, zstandard.ZstdError, gzip.BadGzipFile, EOFError)
"""What a file that is not what its name says, or is cut off, ends in."""


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
            raise EOFError(str(exc)) from exc  # bz2's word for damage


def _zst(path: Path) -> Iterator[bytes]:
    """Frame by frame: zstandard's own reader takes a file that is cut off for a whole one."""
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
"""By the ending of a name."""


def packing(name: str) -> str | None:
    """Return how a file of this name is packed, None if it is not."""
    ending = name.rpartition(".")[2].lower()
    return ending if ending in FORMATS else None


def unpack(packed: Path, kind: str, into: Path, deadline: Deadline) -> None:
    """Write what is in `packed`; one of `DAMAGES` is raised for a damaged one."""
    with into.open("wb") as file:
        for piece in FORMATS[kind](packed):
            if deadline.passed:
                raise ImageError(f"unpacking {packed.name} was not done in time")
            for at in range(0, len(piece), HOLE):
                block = piece[at : at + HOLE]
                if block.count(0) == len(block):
                    file.seek(len(block), 1)
                else:
                    file.write(block)
        file.truncate()
