"""Reads the recordings of a run, for a page that shows the evidence behind each cell."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import FileError
from harness.machine import guarded
from harness.matrix import key_of
from harness.matrix.recordings import CONSOLE_BYTES, RecordedReply, Recordings, limit
from harness.model import GUEST_NAME
from harness.store.folder import JOURNAL, console_of, lines_of, reply_of
from harness.store.journal import Asked, RunBegun

logger = logging.getLogger(__name__)


def recordings_of(folder: Path) -> Recordings:
    """Read the recordings in a run's folder; empty if the folder has no journal.

    Each reply is cut to what a page has room for as soon as it is read.
    """
    if not (folder / JOURNAL).exists():
        return Recordings()
    lines = lines_of(folder)
    names = {name: None for line in lines if isinstance(line, RunBegun) for name in line.guests}
    asked = [line for line in lines if isinstance(line, Asked) and line.guest in names]
    most = limit([line.raw[1] for line in asked])
    consoles = {name: _console(folder, name) for name in names if GUEST_NAME.fullmatch(name)}
    return Recordings(
        tuple(reply for name in names for reply in _replies(folder, name, asked, most)),
        {name: text for name, text in consoles.items() if text},
    )


def _replies(
    folder: Path, guest: str, asked: Iterable[Asked], most: int
) -> Iterator[RecordedReply]:
    for line in asked:
        if line.guest == guest:
            yield _reply(folder, line, most)


def _reply(folder: Path, asked: Asked, most: int) -> RecordedReply:
    failure = None if asked.failure is None else asked.failure.sentence
    try:
        raw = reply_of(folder, asked)[:most]
    except FileError:  # `judge_folder` names the file
        raw, failure = b"", failure or "the recorded answer is damaged or missing"
    return RecordedReply(
        guest=asked.guest,
        key=key_of(asked.cell.scenario, asked.cell.axes),
        attempt=asked.attempt,
        started=asked.started,
        seconds=asked.seconds,
        status=asked.status,
        failure=failure,
        offset=asked.raw[0],
        length=asked.raw[1],
        raw=raw,
    )


def _console(folder: Path, guest: str) -> bytes:
    """Return the end of a console's log; empty for a guest without one."""
    path = console_of(folder, guest)
    try:
        with guarded.file(path, inside=folder) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - CONSOLE_BYTES - 1))
            return file.read(CONSOLE_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as exc:
        logger.warning("%s is left out of the page: %s", path, exc.strerror)
        return b""
