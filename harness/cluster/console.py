"""A guest's console log at home: what a worker sends of it is added at the end."""

from pathlib import Path

from harness.machine import guarded
from harness.protocols import Sink
from harness.store.folder import translated
from harness.transport.shell import Capture

MOST = 8 << 20
"""Bytes that are kept of one boot; a worker sends as many."""


def added_to(path: Path) -> Sink:
    """Return a sink that adds to this file, as far as there is room; it raises `FileError`."""

    def add(piece: bytes) -> None:
        with translated(path), guarded.file(path, "ab", inside=path.parent) as file:
            file.write(piece)

    return Capture(MOST, add).add
