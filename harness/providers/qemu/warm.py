"""Saved states of guests that have just come up, so that the next one need not boot.

A state is a folder in the cache: the guest's memory, and its console's output until then. Its name
is a hash of everything that must be the same to resume: kernel, initramfs, machine, QEMU itself.
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

from harness.machine import cache
from harness.machine.places import Places

logger = logging.getLogger(__name__)

SHELF = "warm"

LIMIT = 2 << 30
"""Bytes that all states together may take: about 25 guests with our initramfs, or four BSDs with a
disk of the usual size. The least recently used states are deleted first."""

SCRATCH = "."
ABANDONED_SECONDS = 3600.0
"""After this time an unfinished state is abandoned: the run that wrote it was killed."""

SHAPE = "2"
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
        """Return whether the guest can be resumed, and mark the state as used now."""
        try:
            os.utime(self.folder)
        except OSError:
            return False
        return self.memory.exists()

    def replay(self, console: Path) -> None:
        """Append to a console log what the guest had printed when it was saved."""
        console.parent.mkdir(parents=True, exist_ok=True)
        with console.open("ab") as log:
            log.write((self.folder / "console.log").read_bytes() + NOTE.encode())

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
            try:
                made.rename(self.folder)
            except OSError as exc:  # another run saved the same guest
                logger.debug("%s: %s", self.folder, exc)
        _prune(self.places)

    def forget(self) -> None:
        """Delete a state that does not work."""
        shutil.rmtree(self.folder, ignore_errors=True)


def state_of(parts: Sequence[str], places: Places) -> WarmState:
    """Return the state of a guest that is made of `parts`; their order counts."""
    name = hashlib.sha256("\0".join((SHAPE, *parts)).encode()).hexdigest()
    return WarmState(places, places.folder(SHELF) / name[:32])


def _prune(places: Places) -> None:
    """Delete abandoned states, then the least recently used ones until the rest fits `LIMIT`.

    A guest that is being resumed has its state open, so deleting it does no harm.
    """
    found = sorted(cache.items(places, (SHELF,)), key=lambda item: item.used)
    left = sum(item.size for item in found)
    for item in found:
        began = item.path.name.startswith(SCRATCH)
        if began and item.used > time.time() - ABANDONED_SECONDS:
            continue
        if (began or left > LIMIT) and cache.delete(item.path):
            left -= item.size
