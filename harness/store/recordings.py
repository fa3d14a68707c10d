"""Reads the recordings of a run, for a page that shows the evidence behind each cell."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import FileError
from harness.matrix import key_of
from harness.matrix.recordings import CONSOLE_BYTES, RecordedReply, Recordings, limit
from harness.store.folder import JOURNAL, console_of, lines_of, reply_of
from harness.store.journal import Asked, RunBegun


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
    consoles = {name: _console(console_of(folder, name)) for name in names}
    return Recordings(
        tuple(reply for name in names for reply in _replies(folder, name, asked, most)),
        {name: text for name, text in consoles.items() if text},
    )


def _replies(
    folder: Path, guest: str, asked: Iterable[Asked], most: int
) -> Iterator[RecordedReply]:
    for line in asked:
        if line.guest == guest:
            yield _reply(line, reply_of(folder, line)[:most])


def _reply(asked: Asked, raw: bytes) -> RecordedReply:
    return RecordedReply(
        guest=asked.guest,
        key=key_of(asked.cell.scenario, asked.cell.axes),
        attempt=asked.attempt,
        started=asked.started,
        seconds=asked.seconds,
        status=asked.status,
        failure=None if asked.failure is None else asked.failure.sentence,
        offset=asked.raw[0],
        length=asked.raw[1],
        raw=raw,
    )


def _console(path: Path) -> bytes:
    """Return the end of a console's log; empty for a guest without one."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - CONSOLE_BYTES - 1))
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise FileError(path, None, f"cannot be read: {exc.strerror}") from exc
