"""Guests that are kept as they were when they came up, so that the next one need not boot.

A state is a folder of the cache: the guest's memory, and what its console had said by then. Its
name stands for all that QEMU must find again: kernel, initramfs, machine, and QEMU itself.
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
"""Bytes that all states may take: some 25 guests of our initramfs, or four with a disk of a BSD's
usual size; those unused for longest go."""

SCRATCH = "."
ABANDONED_SECONDS = 3600.0
"""Nobody writes a state for that long: whoever began it was killed."""

SHAPE = "2"
"""To be changed when a guest waits to be kept at another point than before."""

NOTE = "[reuseport-matrix: the guest was kept at this point, and goes on from here]\n"


class WarmState(Struct, frozen=True):
    """Where a guest is kept, or is to be; `folder` may not be there yet."""

    places: Places
    folder: Path

    @property
    def memory(self) -> Path:
        """What QEMU wrote of the guest."""
        return self.folder / "memory"

    def take(self) -> bool:
        """Whether the guest can be brought back; then the state counts as used."""
        try:
            os.utime(self.folder)
        except OSError:
            return False
        return self.memory.exists()

    def replay(self, console: Path) -> None:
        """Begin a console's log with what the guest had said when it was kept."""
        console.parent.mkdir(parents=True, exist_ok=True)
        with console.open("ab") as log:
            log.write((self.folder / "console.log").read_bytes() + NOTE.encode())

    def keep(self, said: bytes, save: Callable[[Path], None]) -> None:
        """Keep a guest: `save` writes its memory to a path. Whole or not at all; first one wins."""
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
            except OSError as exc:  # somebody else kept the same one
                logger.debug("%s: %s", self.folder, exc)
        _prune(self.places)

    def forget(self) -> None:
        """Take away a state that is of no use."""
        shutil.rmtree(self.folder, ignore_errors=True)


def state_of(parts: Sequence[str], places: Places) -> WarmState:
    """Return the state of a guest that is made of `parts`, in the order of a command line."""
    name = hashlib.sha256("\0".join((SHAPE, *parts)).encode()).hexdigest()
    return WarmState(places, places.folder(SHELF) / name[:32])


def _prune(places: Places) -> None:
    """Delete what a killed run began, and the states used longest ago until all fit the limit.

    A guest that is being brought back from one of them has it open.
    """
    found = sorted(cache.items(places, (SHELF,)), key=lambda item: item.used)
    left = sum(item.size for item in found)
    for item in found:
        began = item.path.name.startswith(SCRATCH)
        if began and item.used > time.time() - ABANDONED_SECONDS:
            continue
        if (began or left > LIMIT) and cache.delete(item.path):
            left -= item.size
