"""Reads the recordings of a run, for a page that shows the evidence behind each cell."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.errors import FileError
from harness.machine import guarded
from harness.matrix import Run, key_of
from harness.matrix.recordings import CONSOLE_BYTES, RecordedReply, Recordings, limit
from harness.model import ROW_NAME
from harness.store.folder import JOURNAL, console_of, lines_of, reply_of
from harness.store.journal import Asked, RunBegun
from harness.store.keeping import RUNS, place
from harness.store.rows import rows_of

logger = logging.getLogger(__name__)


class _Kept(Struct, frozen=True):
    """A run's folder, its questions by row, and each row's name there and in the matrix."""

    folder: Path
    names: Mapping[str, str]
    asked: Mapping[str, Sequence[Asked]]


def recordings_of(folder: Path, run: Run | None = None) -> Recordings:
    """Read the recordings in a run's folder; empty if the folder has no journal.

    In the folder of a merge, `run` is the merge, and the recordings are those of its runs that came
    along. Each reply is cut to what a page has room for as soon as it is read.
    """
    kept = [_kept(folder, None)] if (folder / JOURNAL).exists() else _merged(folder, run)
    most = limit([line.raw[1] for one in kept for some in one.asked.values() for line in some])
    consoles = {new: _console(one.folder, old) for one in kept for old, new in one.names.items()}
    return Recordings(
        tuple(reply for one in kept for reply in _replies(one, most)),
        {name: text for name, text in consoles.items() if text},
    )


def _merged(folder: Path, run: Run | None) -> list[_Kept]:
    """Return the runs of a merge whose recordings are in its folder, oldest first."""
    places = [(one, folder / RUNS / place(one.id)) for one in run.merged] if run else []
    return [_kept(at, one.guests) for one, at in places if (at / JOURNAL).exists()]


def _kept(folder: Path, guests: Mapping[str, str] | None) -> _Kept:
    lines = lines_of(folder)
    begun = {name: name for line in lines if isinstance(line, RunBegun) for name in line.guests}
    rows = rows_of(lines)
    names = begun | {row: row for (guest, _), row in rows.items() if guest in begun}
    if guests is not None:
        names = {name: guests[name] for name in names if name in guests}
    names = {name: new for name, new in names.items() if ROW_NAME.fullmatch(name)}
    asked: dict[str, list[Asked]] = {name: [] for name in names}
    for line in lines:
        row = rows.get((line.guest, line.machine)) if isinstance(line, Asked) else None
        if isinstance(line, Asked) and row in asked and line.guest in begun:
            asked[row].append(line)
    return _Kept(folder, names, asked)


def _replies(kept: _Kept, most: int) -> Iterator[RecordedReply]:
    for name, new in kept.names.items():
        for line in kept.asked[name]:
            yield _reply(kept.folder, line, new, most)


def _reply(folder: Path, asked: Asked, guest: str, most: int) -> RecordedReply:
    failure = None if asked.failure is None else asked.failure.sentence
    try:
        raw = reply_of(folder, asked)[:most]
    except FileError:  # `judge_folder` names the file
        raw, failure = b"", failure or "the recorded answer is damaged or missing"
    return RecordedReply(
        guest=guest,
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
