"""Limits the size of the cache: the least recently used entries are deleted first.

Everything in it can be made or downloaded again: packages, kernels, images, agents, warm guests.
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
"""Bytes that the cache may take on the disk."""

UNUSED_SECONDS = 30 * 86400.0
"""An entry that was not used for this long is deleted, even if there is room."""

IN_USE_SECONDS = 86400.0
"""An entry that was used within this time stays, because a run may still use its path. With
relatime, file systems update the time of access only once a day (mount(8))."""

SHELVES = (
    *("agents", "consoles", "crashes", "disks", "downloads", "guest-agents", "initramfs"),
    *("kernels", "packages", "scratch", "seals", "servers", "warm"),
)
"""Folders of the cache whose entries can be deleted one by one. `zig` cannot be split, and the
indexes in `apt` are small; the packages that they name are checked before use."""


class Item(Struct, frozen=True):
    """An entry of the cache; `used` is seconds since the epoch, `size` bytes on the disk."""

    path: Path
    used: float
    size: int


def prune(places: Places, limit: int = LIMIT, now: float | None = None) -> int:
    """Delete old entries, then the least recently used ones until the rest fits `limit` (bytes).

    Return the number of bytes freed.
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
    """Yield the entries of the cache, without those that disappear meanwhile."""
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
    """Return the time of the last use. A folder's atime does not count: listing it changes it."""
    return status.st_mtime if S_ISDIR(status.st_mode) else max(status.st_atime, status.st_mtime)


def delete(path: Path) -> bool:
    """Delete an entry, which is a file or a folder; return whether it is gone."""
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
