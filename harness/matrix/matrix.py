"""The result of a run, as a value and as `matrix.json`: the guests, and a state for each cell.

The keys listed in docs/results.md do not change. A reader ignores unknown keys, so keys can be
added without a new schema version.
"""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from harness.errors import FileError
from harness.model import Cell, Depth, Judgement, State, Trial

SCHEMA: Final = 1

SCHEMA_URI = "https://json-schema.org/draft/2020-12/schema"

Value = str | int | float | bool | None

Facts = Mapping[str, Value | Mapping[str, Value]]
"""Facts about a guest: how it was made, uname, limits, tunables."""

Figures = Mapping[str, float]

Counts = Mapping[str, int]

Key = tuple[str, tuple[tuple[str, str], ...]]
"""The identity of a cell: its scenario, and its axes sorted by name."""


def key_of(scenario: str, axes: Mapping[str, str]) -> Key:
    """Return the identity of a cell, which does not depend on the order of its axes."""
    return scenario, tuple(sorted(axes.items()))


Seconds = Annotated[float, Meta(ge=0)]


class MergedRun(Struct, frozen=True):
    """A run that a merge consists of. `guests` maps each guest's name there to its name here."""

    id: str
    started: str
    catalogue: Depth
    guests: Mapping[str, str]


class Run(Struct, frozen=True, omit_defaults=True):
    """One run: `started` is UTC in ISO 8601. `merged` has the runs of a merge, oldest first."""

    id: str
    started: str
    catalogue: Depth
    merged: tuple[MergedRun, ...] = ()


# A merge of many runs has tens of thousands of askings and entries. They are frozen and hold only
# texts and numbers, so they cannot be part of a reference cycle. Without `gc=False` the cyclic
# collector takes as long as the rest (msgspec, "Disabling Garbage Collection").
class Asking(Struct, frozen=True, gc=False):
    """One asking of a cell, with its own judgement."""

    state: State
    verdict: str | None
    why: str | None
    counts: Counts = field(default_factory=dict)
    statistics: Figures = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError like `Judgement` does; msgspec reports it as a fault of the file."""
        self.judgement  # noqa: B018 - constructing it is the check

    @property
    def judgement(self) -> Judgement:
        """The same values as a `Judgement`."""
        return Judgement(self.state, self.verdict, self.why, self.counts, self.statistics)

    @classmethod
    def of(cls, one: Judgement) -> "Asking":
        """Return the asking with this judgement."""
        return cls(one.state, one.verdict, one.why, dict(one.counts), dict(one.statistics))


class Entry(Struct, frozen=True, gc=False):
    """A cell on one guest: its state, and each asking in `repeats`.

    `run` is set only in a merge: the run that measured the cell, if its guest names another one.
    """

    guest: str
    scenario: str
    axes: Mapping[str, str]
    state: State
    verdict: str | None
    why: str | None
    counts: Counts = field(default_factory=dict)
    statistics: Figures = field(default_factory=dict)
    repeats: tuple[Asking, ...] = ()
    started: str | None = None
    seconds: Seconds = 0.0
    run: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ValueError like `Judgement` does; msgspec reports it as a fault of the file."""
        self.judgement  # noqa: B018 - constructing it is the check

    @property
    def judgement(self) -> Judgement:
        """The judgement of all repeats together."""
        return Judgement(self.state, self.verdict, self.why, self.counts, self.statistics)

    @property
    def cell(self) -> Cell:
        """The cell that this entry is about."""
        return Cell.at(self.scenario, **self.axes)

    @property
    def key(self) -> Key:
        """The cell's identity, which does not depend on the order of axes in a file."""
        return key_of(self.scenario, self.axes)

    @classmethod
    def of(cls, trial: Trial) -> "Entry":
        """Return the entry of a trial, with the judgement of all its repeats."""
        outcome = trial.outcome
        return cls(
            guest=trial.guest,
            scenario=trial.cell.scenario,
            axes=dict(trial.cell.axes),
            state=outcome.state,
            verdict=outcome.verdict,
            why=outcome.why,
            counts=dict(outcome.counts),
            statistics=dict(outcome.statistics),
            repeats=tuple(map(Asking.of, trial.repeats)),
            started=trial.started,
            seconds=trial.seconds,
        )


class Matrix(Struct, frozen=True):
    """All guests side by side. Every cell belongs to a guest in `guests`, and occurs once."""

    schema: Literal[1]
    run: Run
    guests: Mapping[str, Facts]
    cells: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if a cell occurs twice or its guest is unknown."""
        seen = set()
        for entry in self.cells:
            if entry.guest not in self.guests:
                raise ValueError(f"a cell of guest {entry.guest!r}, which is not in `guests`")
            key = (entry.guest, entry.key)
            if key in seen:
                raise ValueError(f"twice on guest {entry.guest!r}: {entry.cell.key}")
            seen.add(key)

    def only(self, guest: str) -> "Matrix":
        """Return the matrix of one guest; raise KeyError if it is unknown."""
        cells = tuple(cell for cell in self.cells if cell.guest == guest)
        return Matrix(self.schema, self.run, {guest: self.guests[guest]}, cells)

    def origin(self, entry: Entry) -> str:
        """Return the id of the run that measured a cell; in a merge it is one of `run.merged`."""
        if entry.run is not UNSET:
            return entry.run
        named = self.guests[entry.guest].get("run")
        return named if isinstance(named, str) else self.run.id

    @property
    def by_guest(self) -> Mapping[str, Sequence[Entry]]:
        """The cells of each guest, in order; guests without cells are included."""
        own: dict[str, list[Entry]] = {name: [] for name in self.guests}
        for cell in self.cells:
            own[cell.guest].append(cell)
        return own

    @classmethod
    def of(cls, run: Run, guests: Mapping[str, Facts], trials: Iterable[Trial]) -> "Matrix":
        """Return the matrix of trials; raise ValueError if two have the same cell and guest."""
        facts = {name: dict(known) for name, known in guests.items()}
        return cls(SCHEMA, run, facts, tuple(map(Entry.of, trials)))


class _SchemaVersion(Struct, frozen=True):
    schema: int
    run: msgspec.Raw
    cells: msgspec.Raw


def encode(matrix: Matrix) -> bytes:
    """Return `matrix.json`: the same matrix gives the same bytes."""
    return document(matrix)


def document(value: object) -> bytes:
    """Return a value as JSON with a line for each key, which suits diff(1) and people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def decode(content: bytes, path: object = "matrix.json") -> Matrix:
    """Read `matrix.json`; raise `FileError` with a message for users if it is not valid."""
    check_version(content, path)
    try:
        return msgspec.json.decode(content, type=Matrix)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as exc:
        raise FileError(path, None, f"a matrix with a fault: {exc}") from exc


def check_version(content: bytes, path: object) -> None:
    """Raise `FileError` if the content is no matrix, or has a schema version not supported here."""
    again = "run `report` on the run's folder, or copy the file again"
    if not content.strip():
        raise FileError(path, 1, "the file is empty", hint=again)
    try:
        version = msgspec.json.decode(content, type=_SchemaVersion).schema
    except (msgspec.ValidationError, RecursionError) as exc:
        hint = "give a matrix.json that `run` wrote"
        raise FileError(path, 1, "JSON, but not a matrix of reuseport-matrix", hint=hint) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        if "truncated" in str(exc):
            raise FileError(path, None, "the file is cut off", hint=again) from exc
        raise FileError(path, _line_of(content, str(exc)), f"not JSON: {exc}") from exc
    if version > SCHEMA:
        message = f"schema {version} is newer than this program reads ({SCHEMA})"
        raise FileError(path, None, message, hint="install a newer reuseport-matrix")
    if version != SCHEMA:
        raise FileError(path, None, f"schema {version} does not exist")


def _line_of(content: bytes, message: str) -> int:
    """Return the line of the byte named in msgspec's message; 1 if it names none."""
    found = re.search(r"\(byte (\d+)\)", message)
    return content.count(b"\n", 0, int(found.group(1))) + 1 if found else 1


def published() -> bytes:
    """Return the content of docs/matrix.schema.json."""
    return schema_of(Matrix, "matrix.json")


def schema_of(kind: type[Struct], title: str) -> bytes:
    """Return the JSON Schema of a document, as published in docs/."""
    schema = _unindented({"$schema": SCHEMA_URI, "title": title, **msgspec.json.schema(kind)})
    return msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2) + b"\n"


def _unindented(part: object) -> object:
    """Return a part of a schema; docstrings lose the indentation that msgspec before 0.23 keeps."""
    if isinstance(part, dict):
        return {name: _unindented(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_unindented(value) for value in part]
    return inspect.cleandoc(part) if isinstance(part, str) else part
