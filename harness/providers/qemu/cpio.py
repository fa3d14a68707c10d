"""Writes cpio archives in `newc` format; the kernel unpacks one as its first root file system.

Format: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import stat
from collections.abc import Iterable

from msgspec import Struct

DIRECTORY = stat.S_IFDIR | 0o755
LINK = stat.S_IFLNK | 0o777
PROGRAM = stat.S_IFREG | 0o755
FILE = stat.S_IFREG | 0o644
SECRET = stat.S_IFREG | 0o600
PRIVATE = stat.S_IFDIR | 0o700


class CpioEntry(Struct, frozen=True):
    """A file, folder, link (`content` is its target) or device, owned by root."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def archive(entries: Iterable[CpioEntry]) -> bytes:
    """Return the archive. It holds no time stamps, so the same entries give the same bytes."""
    parts = [_record(number, entry) for number, entry in enumerate(entries, start=1)]
    parts.append(_record(0, CpioEntry("TRAILER!!!", 0)))
    return b"".join(parts)


def _record(inode: int, entry: CpioEntry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        *(inode, entry.mode, 0, 0, links, 0, len(entry.content)),
        *(0, 0, *entry.device, len(name), 0),
    )
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
