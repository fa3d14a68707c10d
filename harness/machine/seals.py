"""Checks that an entry of the cache is what was put there, by its sha256.

A seal holds the sha256 of an entry, which is a file or a folder. An entry without a seal, or not as
it was sealed, is made anew.
"""

import hashlib
import logging
from pathlib import Path

from harness.machine import guarded
from harness.machine.files import identity, recall, remember
from harness.machine.places import Places

logger = logging.getLogger(__name__)

SHOWN = 12
"""How many digits of a sha256 a message shows."""


def sha256(path: Path, places: Places, *, afresh: bool = False) -> str:
    """Return an entry's sha256; computed again only if `identity` has changed, or `afresh`.

    That of a folder covers the paths below it and what they hold.
    """
    name = hashlib.sha256(_identity(path).encode()).hexdigest()
    memory = places.folder("disks") / f"{name[:32]}.json"
    known = None if afresh else recall(memory, str)
    if known is not None:
        return known
    found = digest(path)
    remember(memory, found)
    return found


def seal(path: Path, places: Places) -> str:
    """Record what an entry is, right after it was made; return its sha256."""
    found = sha256(path, places)
    remember(_file(path, places), found)
    return found


def unbroken(path: Path, places: Places, *, afresh: bool = False) -> str | None:
    """Return an entry's sha256 if it is what was sealed; None if not, or if it has no seal.

    With `afresh` the content is read, which also finds what the disk itself has damaged.
    """
    expected = recall(_file(path, places), str)
    if expected is None:
        return None
    try:
        found = sha256(path, places, afresh=afresh)
    except FileNotFoundError:
        return None
    except OSError as exc:
        found = exc.strerror or "unreadable"
    if found != expected:
        text = "%s is not what was put into the cache (sha256 %s, not %s): it is made anew"
        logger.warning(text, path, found[:SHOWN], expected[:SHOWN])
        return None
    return found


def is_broken(path: Path, places: Places) -> bool:
    """Return whether an entry has a seal and is not what was sealed."""
    return recall(_file(path, places), str) is not None and unbroken(path, places) is None


def _file(path: Path, places: Places) -> Path:
    # By shelf and name, so that a cache that was moved, or has links for shelves, keeps its seals.
    entry = f"{path.parent.name}/{path.name}".encode(errors="surrogateescape")
    name = hashlib.sha256(entry).hexdigest()
    return places.folder("seals") / f"{name[:32]}.json"


def _parts(path: Path) -> list[Path]:
    """Return the files of an entry, in order."""
    return [path] if not path.is_dir() else sorted(one for one in path.rglob("*") if _counts(one))


def _counts(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()


def _identity(path: Path) -> str:
    return "\n".join(map(identity, _parts(path)))


def digest(path: Path) -> str:
    """Compute the sha256 of an entry."""
    if not path.is_dir():
        return _of_file(path)
    whole = hashlib.sha256()
    for one in _parts(path):
        said = f"-> {one.readlink()}" if one.is_symlink() else _of_file(one)
        whole.update(f"{one.relative_to(path)}\0{said}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _of_file(path: Path) -> str:
    with guarded.file(path) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
