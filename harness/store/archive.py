"""Keeps many runs in one SQLite file: only the state and the word of each cell."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from harness.errors import FileError
from harness.machine import guarded
from harness.machine.guarded import IrregularFileError
from harness.matrix import Run, check_version, decode
from harness.matrix.history import PastRun, Visit
from harness.model import Cell, State, word

VERSION = 1

APPLICATION = 0x52504D31
"""Marks the files of this program (PRAGMA application_id): `RPM1`."""

LOCKED_SECONDS = 20.0
"""How long to wait while another process has locked the file; it does so only for a moment."""

TABLES = """
CREATE TABLE IF NOT EXISTS run (
  number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, started TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS cell (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS visit (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  guest TEXT NOT NULL, cell INTEGER NOT NULL REFERENCES cell,
  release TEXT, state TEXT NOT NULL, word TEXT,
  PRIMARY KEY (run, guest, cell)
) WITHOUT ROWID;
"""

ORIGINS = """
CREATE TABLE IF NOT EXISTS origin (
  run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  guest TEXT NOT NULL, cell INTEGER NOT NULL REFERENCES cell, id TEXT NOT NULL,
  PRIMARY KEY (run, guest, cell)
) WITHOUT ROWID;
"""
"""The runs behind the cells of merges. The table came later, and a file without it has no merges
of known runs, so it is made when the first such merge is added."""

ADD_CELL = "INSERT INTO cell (key) VALUES (?)"


class _StoredCell(Struct, gc=False):
    """The part of a cell in matrix.json that a history needs. The rest of the file is skipped."""

    guest: str
    scenario: str
    axes: dict[str, str]
    state: State
    verdict: str | None = None
    run: str | None = None


class _StoredGuest(Struct):
    """The part of a guest's facts that a history needs; `run` is set in a merge."""

    release: str | None = None
    run: str | None = None


class _StoredMatrix(Struct):
    run: Run
    guests: dict[str, _StoredGuest]
    cells: list[_StoredCell]


_decoder = msgspec.json.Decoder(_StoredMatrix)

KEPT = 1 << 16
"""How many cells and words are cached. Every run has the same ones, and making them again would be
most of the work."""


def night(content: bytes, path: object) -> PastRun:
    """Read the part of a matrix.json that a history needs; raise `FileError` (`matrix.decode`)."""
    check_version(content, path)
    try:
        found = _decoder.decode(content)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as exc:
        raise FileError(path, None, f"a matrix with a fault: {exc}") from exc
    visits = dict(_visits(found.cells, found.guests))
    if not _sound(found, visits):
        decode(content, path)  # raises an error that says what is wrong
    return PastRun(found.run.id, found.run.started, visits)


def _visits(
    cells: Iterable[_StoredCell], guests: Mapping[str, _StoredGuest]
) -> Iterator[tuple[tuple[str, Cell], Visit]]:
    unknown = _StoredGuest()
    for entry in cells:
        cell = _cell(entry.scenario, tuple(entry.axes.items()))
        said = None if entry.verdict is None else _word(entry.verdict)
        guest = guests.get(entry.guest, unknown)
        visit = Visit(guest.release, entry.state, said, entry.run or guest.run)
        yield (entry.guest, cell), visit


_word = lru_cache(KEPT)(word)


@lru_cache(KEPT)
def _cell(scenario: str, points: tuple[tuple[str, str], ...]) -> Cell:
    """Return the cell at these axes; their order in the file does not matter."""
    return Cell.at(scenario, **dict(sorted(points)))


def _sound(found: _StoredMatrix, visits: Mapping[tuple[str, Cell], Visit]) -> bool:
    """Return whether cells are unique, of known guests, with a verdict exactly if measured."""
    return len(visits) == len(found.cells) and all(
        entry.guest in found.guests
        and (entry.verdict is not None) == (entry.state is State.MEASURED)
        for entry in found.cells
    )


class Archive:
    """An open history file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, nights: Iterable[PastRun]) -> None:
        """Add runs. A run that is already there is replaced: it may have been judged again."""
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")  # no other process may add cells meanwhile
            rows = connection.execute("SELECT key, number FROM cell")
            known = {_decoded(key): number for key, number in rows}
            for one in nights:
                connection.execute("DELETE FROM run WHERE id = ?", (one.id,))
                cursor = connection.execute(
                    "INSERT INTO run (id, started) VALUES (?, ?)", (one.id, one.started)
                )
                for _, cell in one.visits:
                    if cell not in known:
                        key = (_encoded(cell),)
                        known[cell] = connection.execute(ADD_CELL, key).lastrowid
                connection.executemany(
                    "INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (cursor.lastrowid, guest, known[cell], got.release, got.state, got.word)
                        for (guest, cell), got in one.visits.items()
                    ],
                )
                origins = [
                    (cursor.lastrowid, guest, known[cell], got.origin)
                    for (guest, cell), got in one.visits.items()
                    if got.origin is not None
                ]
                if origins:
                    connection.execute(ORIGINS)
                    connection.executemany("INSERT INTO origin VALUES (?, ?, ?, ?)", origins)

    def check(self) -> None:
        """Raise a `sqlite3.Error` if a page is damaged, a table is missing, or it is read-only."""
        (said,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        strays = self._connection.execute("PRAGMA foreign_key_check").fetchone()
        if said != "ok" or strays is not None:
            raise sqlite3.DatabaseError(said if said != "ok" else "a row refers to a missing one")
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            # A write, which is the only way to find out whether the disk takes one.
            connection.execute(f"PRAGMA user_version = {VERSION}")
        for _ in self.nights(1 << 30):
            pass

    def nights(self, last: int) -> Iterator[PastRun]:
        """Yield the `last` newest runs, the oldest first."""
        cells = {
            number: _decoded(key)
            for number, key in self._connection.execute("SELECT number, key FROM cell")
        }
        newest = "SELECT number, id, started FROM run ORDER BY started DESC, id DESC LIMIT ?"
        for number, name, started in reversed(self._connection.execute(newest, (last,)).fetchall()):
            rows = self._connection.execute(
                "SELECT guest, cell, release, state, word FROM visit WHERE run = ?", (number,)
            )
            origins = self._origins(number)
            visits = {
                (guest, cells[cell]): Visit(
                    release, _state(state), said, origins.get((guest, cell))
                )
                for guest, cell, release, state, said in rows
            }
            yield PastRun(name, started, visits)

    def _origins(self, run: int) -> dict[tuple[str, int], str]:
        """Return the origin of each cell of a merge, by guest and number of the cell."""
        named = "SELECT count(*) FROM sqlite_schema WHERE name = 'origin'"
        if not self._connection.execute(named).fetchone()[0]:
            return {}
        rows = self._connection.execute("SELECT guest, cell, id FROM origin WHERE run = ?", (run,))
        return {(guest, cell): name for guest, cell, name in rows}


@lru_cache(KEPT)
def _state(text: str) -> State:
    """Return a state; an unknown one raises a `msgspec` error that `archive` reports."""
    return msgspec.convert(text, State)


def _encoded(cell: Cell) -> str:
    return msgspec.json.encode([cell.scenario, cell.points]).decode()


def _decoded(key: str) -> Cell:
    scenario, points = msgspec.json.decode(key, type=tuple[str, tuple[tuple[str, str], ...]])
    return Cell(scenario, points)


OF_HISTORY = "name a file that `history` has written, or a new one, with --db"
"""The hint for a file that cannot be used, where the command is `history`."""


@contextmanager
def archive(path: Path, hint: str = OF_HISTORY) -> Iterator[Archive]:
    """Open a history file, or make one; raise `FileError` if it is another file, or locked.

    `hint` says what the user of this command can do about such a file.
    """
    try:
        with suppress(FileNotFoundError, PermissionError):  # a new file; SQLite reports the other
            os.close(guarded.descriptor(path))
        with closing(sqlite3.connect(path, timeout=LOCKED_SECONDS)) as connection:
            _prepare(connection, path, hint)
            yield Archive(connection)
    except IrregularFileError as exc:
        raise FileError(path, None, exc.strerror or str(exc), hint=hint) from exc
    except (sqlite3.Error, msgspec.DecodeError) as exc:
        raise FileError(path, None, f"cannot be used as a history: {exc}", hint=hint) from exc


def check_archive(path: Path, hint: str) -> None:
    """Raise `FileError` for a history file that is damaged or cannot be added to.

    A missing file is made. Everything in it is read once.
    """
    with archive(path, hint) as kept:
        kept.check()


def _prepare(connection: sqlite3.Connection, path: Path, hint: str) -> None:
    """Check which program wrote the file; make the tables if it is empty.

    Another process may do the same at this moment.
    """
    connection.execute("PRAGMA foreign_keys = ON")
    # Read them in this order: another process writes all three in one transaction, so tables of a
    # new file are never seen without its application_id.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == 0 and tables == 0:
        with connection:
            connection.executescript(
                f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION};"
                f" PRAGMA user_version = {VERSION}; COMMIT;"
            )
    elif application != APPLICATION:
        raise FileError(path, None, "is another program's database", hint=hint)
    elif version > VERSION:
        message = f"history {version} is newer than this program reads ({VERSION})"
        raise FileError(path, None, message, hint="install a newer reuseport-matrix")
