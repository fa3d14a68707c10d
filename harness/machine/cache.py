"""Keeps the cache from growing for ever: what was not used for longest goes first.

All in it can be had again: packages, kernels, images, agents, guests that are kept warm.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

from msgspec import Struct

from harness.machine.places import Places

logger = logging.getLogger(__name__)

LIMIT = 4 << 30
"""Bytes that the cache may take."""

UNUSED_SECONDS = 30 * 86400.0
"""What nobody used for that long goes, however much room there is."""

IN_USE_SECONDS = 86400.0
"""What was used since then stays, however little: a run may hold its path. File systems note a
reading once a day at least (relatime, mount(8))."""

SHELVES = (
    *("agents", "consoles", "downloads", "initramfs", "kernels", "packages", "scratch", "warm"),
)
"""Folders of the cache whose entries stand each for itself; `zig` is one thing, and `apt`'s indexes
and what is remembered of them are small, and checked for what they name."""


class Item(Struct, frozen=True):
    """An entry of the cache; `used` is seconds since the epoch, `size` bytes on the disk."""

    path: Path
    used: float
    size: int


def prune(places: Places, limit: int = LIMIT, now: float | None = None) -> int:
    """Delete what is old, then what was not used for longest until the rest fits `limit`.

    Return how many bytes that freed.
    """
    moment = time.time() if now is None else now
    found = sorted(items(places), key=lambda item: item.used)
    left, freed = sum(item.size for item in found), 0
    for item in found:
        age = moment - item.used
        if age < IN_USE_SECONDS or (left <= limit and age < UNUSED_SECONDS):
            continue
        if delete(item.path):
            left, freed = left - item.size, freed + item.size
    return freed


def items(places: Places, shelves: tuple[str, ...] = SHELVES) -> Iterator[Item]:
    """Yield what the cache holds; what goes away meanwhile is left out."""
    for shelf in shelves:
        folder = places.cache / shelf
        for path in folder.iterdir() if folder.is_dir() else ():
            try:
                stats = [one.stat() for one in (path, *path.rglob("*")) if not one.is_symlink()]
            except OSError:
                continue
            used = max(map(_used, stats), default=0.0)
            yield Item(path, used, sum(stat.st_blocks * 512 for stat in stats))


def _used(status: os.stat_result) -> float:
    """Return when it was last used; a folder is read by this very look."""
    return status.st_mtime if S_ISDIR(status.st_mode) else max(status.st_atime, status.st_mtime)


def delete(path: Path) -> bool:
    """Delete an entry, a file or a folder; whether it is gone."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as exc:
        logger.warning("%s cannot be deleted: %s", path, exc)
        return False
    logger.debug("deleted %s", path)
    return True
