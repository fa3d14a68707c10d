"""The result of a run as one value, and as `matrix.json`: guests, and a state for each cell.

The keys that docs/results.md lists stay; a reader ignores keys that it does not know, so that
more can be added without a new schema version.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from harness.errors import FileError
from harness.model import Cell, Depth, Judgement, State, Trial

SCHEMA: Final = 1

SCHEMA_URI = "https://json-schema.org/draft/2020-12/schema"

Value = str | int | float | bool | None

Facts = Mapping[str, Value | Mapping[str, Value]]
"""What is known of a guest: how it was made, uname, limits, tunables."""

Figures = Mapping[str, float]

Counts = Mapping[str, int]

Key = tuple[str, tuple[tuple[str, str], ...]]
"""Which cell: the scenario, and its axes in an order of their own."""


def key_of(scenario: str, axes: Mapping[str, str]) -> Key:
    """Return which cell it is, in whatever order its axes are."""
    return scenario, tuple(sorted(axes.items()))


Seconds = Annotated[float, Meta(ge=0)]


class Run(Struct, frozen=True):
    """One run: `started` is UTC in ISO 8601."""

    id: str
    started: str
    catalogue: Depth


# Askings and entries are tens of thousands in a merge of many runs, and no cycle can lead through
# what is frozen and holds texts and numbers only: the cyclic collector, which would take as long
# as the rest, need not look at them (msgspec, "Disabling Garbage Collection").
class Asking(Struct, frozen=True, gc=False):
    """One asking of a cell, as it was judged by itself."""

    state: State
    verdict: str | None
    why: str | None
    counts: Counts = field(default_factory=dict)
    statistics: Figures = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold what every judgement holds; msgspec reports a ValueError as the file's fault."""
        self.judgement  # noqa: B018 - constructing it is the check

    @property
    def judgement(self) -> Judgement:
        """The same as the harness's own noun."""
        return Judgement(self.state, self.verdict, self.why, self.counts, self.statistics)

    @classmethod
    def of(cls, one: Judgement) -> "Asking":
        """Copy a judgement."""
        return cls(one.state, one.verdict, one.why, dict(one.counts), dict(one.statistics))


class Entry(Struct, frozen=True, gc=False):
    """A cell on one guest: its state, and behind it every asking."""

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

    def __post_init__(self) -> None:
        """Hold what every judgement holds; msgspec reports a ValueError as the file's fault."""
        self.judgement  # noqa: B018 - constructing it is the check

    @property
    def judgement(self) -> Judgement:
        """What the repeats amount to."""
        return Judgement(self.state, self.verdict, self.why, self.counts, self.statistics)

    @property
    def cell(self) -> Cell:
        """Which cell this is of."""
        return Cell.at(self.scenario, **self.axes)

    @property
    def key(self) -> Key:
        """Which cell this is of, in whatever order a file has its axes."""
        return key_of(self.scenario, self.axes)

    @classmethod
    def of(cls, trial: Trial) -> "Entry":
        """Copy a trial, with the judgement that its repeats amount to."""
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
    """All guests side by side. Every cell belongs to a guest of `guests`, and is there once."""

    schema: Literal[1]
    run: Run
    guests: Mapping[str, Facts]
    cells: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Hold that a cell has one state on a guest that is known."""
        seen = set()
        for entry in self.cells:
            if entry.guest not in self.guests:
                raise ValueError(f"a cell of guest {entry.guest!r}, which is not in `guests`")
            key = (entry.guest, entry.key)
            if key in seen:
                raise ValueError(f"twice on guest {entry.guest!r}: {entry.cell.key}")
            seen.add(key)

    @property
    def by_guest(self) -> Mapping[str, Sequence[Entry]]:
        """The cells of each guest, in their order; a guest without any is there, too."""
        own: dict[str, list[Entry]] = {name: [] for name in self.guests}
        for cell in self.cells:
            own[cell.guest].append(cell)
        return own

    @classmethod
    def of(cls, run: Run, guests: Mapping[str, Facts], trials: Iterable[Trial]) -> "Matrix":
        """Gather trials, in their order; raise ValueError if two are of one cell and guest."""
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
    """Return a value as a JSON file of ours: a line for each key, for diff(1) and for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def decode(content: bytes, path: object = "matrix.json") -> Matrix:
    """Read `matrix.json`; raise `FileError` in the user's terms if it is anything else."""
    check_version(content, path)
    try:
        return msgspec.json.decode(content, type=Matrix)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as exc:
        raise FileError(path, None, f"a matrix with a fault: {exc}") from exc


def check_version(content: bytes, path: object) -> None:
    """Raise `FileError` for what is no matrix at all, or one that this program is too old for."""
    again = "run `report` on the run's folder, or copy the file again"
    if not content.strip():
        raise FileError(path, 1, "the file is empty", hint=again)
    try:
        version = msgspec.json.decode(content, type=_SchemaVersion).schema
    except (msgspec.ValidationError, RecursionError) as exc:
        hint = "a matrix.json that `run` wrote is expected"
        raise FileError(path, 1, "JSON, but not a matrix of reuseport-matrix", hint=hint) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        if "truncated" in str(exc):
            raise FileError(path, None, "the file is cut off", hint=again) from exc
        raise FileError(path, _line_of(content, str(exc)), f"not JSON: {exc}") from exc
    if version > SCHEMA:
        message = f"schema {version} is newer than this program reads ({SCHEMA})"
        raise FileError(path, None, message, hint="install a newer reuseport-matrix")
    if version != SCHEMA:
        raise FileError(path, None, f"there is no schema {version}")


def _line_of(content: bytes, message: str) -> int:
    """Return the line of the byte that msgspec names in its message, 1 if it names none."""
    found = re.search(r"\(byte (\d+)\)", message)
    return content.count(b"\n", 0, int(found.group(1))) + 1 if found else 1


def published() -> bytes:
    """Return the content of docs/matrix.schema.json."""
    return schema_of(Matrix, "matrix.json")


def schema_of(kind: type[Struct], title: str) -> bytes:
    """Return the JSON Schema of a document, as it stands in docs/."""
    schema = {"$schema": SCHEMA_URI, "title": title, **msgspec.json.schema(kind)}
    return msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2) + b"\n"
