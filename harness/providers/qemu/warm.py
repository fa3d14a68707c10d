"""Saved states of guests that have just come up, so that the next one need not boot.

A state is a folder in the cache: the guest's memory, and its console's output until then. Its name
is a hash of everything that must be the same to resume: kernel, initramfs, machine, QEMU itself.
Disks that were typed on are kept in the same way, in another folder and without memory.
"""

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from harness.machine import cache, guarded
from harness.machine.files import identity, recall, remember
from harness.machine.places import Places

logger = logging.getLogger(__name__)

SHELF = "warm"

LIMIT = 2 << 30
"""Bytes that all states in one folder of the cache may take: about 25 guests with our initramfs, or
four BSDs with a disk of the usual size. The least recently used states are deleted first."""

SCRATCH = "."
ABANDONED_SECONDS = 3600.0
"""After this time an unfinished state is abandoned: the run that wrote it was killed."""

SEAL = "seal.json"
"""The file of a state with the identities of its other files, as they were saved."""

SHAPE = "3"
"""Change this when guests are saved at a different point of their boot."""

NOTE = "[reuseport-matrix: the guest was kept at this point, and goes on from here]\n"


class WarmState(Struct, frozen=True):
    """Where a guest is saved, or will be; `folder` may not exist yet."""

    places: Places
    folder: Path

    @property
    def memory(self) -> Path:
        """The file with the guest's state, written by QEMU."""
        return self.folder / "memory"

    def take(self) -> bool:
        """Return whether the guest can be resumed, and mark the state as used now.

        A state that was changed since it was saved is deleted. Its files hold up to gigabytes, so
        they are not read for that; another boot costs less.
        """
        try:
            os.utime(self.folder)
        except OSError:
            return False
        if recall(self.folder / SEAL, dict[str, str]) == identities(self.folder):
            return True
        logger.warning("%s is not what was saved there: the guest is booted", self.folder)
        self.forget()
        return False

    def replay(self, console: Path) -> None:
        """Append to a console log what the guest had printed when it was saved."""
        console.parent.mkdir(parents=True, exist_ok=True)
        said = guarded.read(self.folder / "console.log", inside=self.folder)
        with guarded.file(console, "ab", inside=console.parent) as log:
            log.write(said + NOTE.encode())

    def keep(self, said: bytes, save: Callable[[Path], None]) -> None:
        """Save a guest: `save` writes its memory to a path. A state that exists already stays."""
        folder = self.folder.parent
        with tempfile.TemporaryDirectory(
            dir=folder, prefix=".", ignore_cleanup_errors=True
        ) as name:
            made = Path(name, "state")
            made.mkdir(mode=0o700)
            (made / "console.log").write_bytes(said)
            save(made / "memory")
            remember(made / SEAL, identities(made))
            try:
                made.rename(self.folder)
            except OSError as exc:  # another run saved the same guest
                logger.debug("%s: %s", self.folder, exc)
        _prune(self.places, folder.name)

    def forget(self) -> None:
        """Delete a state that does not work."""
        shutil.rmtree(self.folder, ignore_errors=True)


def identities(folder: Path) -> dict[str, str]:
    """Return the identities of a state's files; the folder itself may be renamed."""
    files = [path for path in sorted(folder.rglob("*")) if path.name != SEAL]
    return {path.name: identity(path).removeprefix(f"{path} ") for path in files}


def state_of(parts: Sequence[str], places: Places, shelf: str = SHELF) -> WarmState:
    """Return the state of a guest that is made of `parts`; their order counts."""
    name = hashlib.sha256("\0".join((SHAPE, *parts)).encode()).hexdigest()
    return WarmState(places, places.folder(shelf) / name[:32])


def _prune(places: Places, shelf: str) -> None:
    """Delete abandoned states, then the least recently used ones until the rest fits `LIMIT`.

    A guest that is being resumed has its state open, so deleting it does no harm.
    """
    found = sorted(cache.items(places, (shelf,)), key=lambda item: item.used)
    left = sum(item.size for item in found)
    for item in found:
        began = item.path.name.startswith(SCRATCH)
        if began and item.used > time.time() - ABANDONED_SECONDS:
            continue
        if (began or left > LIMIT) and cache.delete(item.path):
            left -= item.size
