"""What is expected of a matrix: words, and differences that are known, for a reason and a while.

An exception that is not needed any more is as wrong as one that is missing: both are said.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeVar

from msgspec import Struct, field

from harness.matrix import Entry, Key, Matrix
from harness.model import State, word

One = TypeVar("One")


class Outcome(StrEnum):
    """What a cell is against what is expected of it."""

    AGREES = "agrees"
    DIFFERS = "differs"
    KNOWN = "known"
    EXPIRED = "expired"
    UNEXPECTED = "agrees-unexpectedly"
    NEW = "new"
    UNMEASURED = "unmeasured"


CONTRADICTS = (Outcome.DIFFERS, Outcome.EXPIRED, Outcome.UNEXPECTED)
"""Outcomes after which a run is not what its baseline says."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """Cells, and the words that are expected of them.

    `guest` is a guest's name, its system in lower case, or a pattern of either (fnmatch); `axes`
    are those that have to be as given.
    """

    scenario: str
    verdict: str | tuple[str, ...]
    guest: str = "*"
    axes: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """The words, without counts."""
        verdicts = (self.verdict,) if isinstance(self.verdict, str) else self.verdict
        return tuple(map(word, verdicts))

    def matches(self, entry: Entry, system: str) -> bool:
        """Whether it is about this cell."""
        names = (entry.guest, system.lower())
        return (
            fnmatchcase(entry.scenario, self.scenario)
            and any(fnmatchcase(name, self.guest) for name in names)
            and self.axes.items() <= entry.axes.items()
        )


class KnownDifference(Rule, frozen=True, kw_only=True):
    """A difference that is known: why, and until when that is an excuse (that day included)."""

    reason: str
    expires: date

    @property
    def label(self) -> str:
        """The entry in a line."""
        axes = "".join(f" {name}={value}" for name, value in self.axes.items())
        return f"{self.guest} {self.scenario}{axes}: {' or '.join(self.words)}"


class Baseline(Struct, frozen=True):
    """What is expected: a matrix's words, above them rules, and what is known to differ."""

    matrix: Matrix | None = None
    expect: tuple[Rule, ...] = ()
    known: tuple[KnownDifference, ...] = ()


class Held(Struct, frozen=True):
    """A cell held against its expectation: `expected` is what was, `known` the entry it met."""

    entry: Entry
    outcome: Outcome
    expected: str | None = None
    known: KnownDifference | None = None

    @property
    def sentence(self) -> str:
        """What is to be said of it."""
        said = f"{self.entry.guest}: {self.entry.cell.key}: "
        if self.known is None:
            return f"{said}{self.expected} before, {self.entry.verdict} now"
        why = f"{self.known.reason}; until {self.known.expires}"
        if self.outcome is Outcome.EXPIRED:
            return f"{said}{self.entry.verdict} is not excused any more ({why})"
        if self.outcome is Outcome.UNEXPECTED:
            return f"{said}{self.entry.verdict} as expected: take out its known difference ({why})"
        if self.outcome is Outcome.KNOWN:
            return f"{said}{self.entry.verdict} is known ({why})"
        return f"{said}{self.expected or self.known.label} expected, {self.entry.verdict} now"


class BaselineCheck(Struct, frozen=True):
    """A matrix against a baseline: every cell, and known differences that met no cell."""

    held: tuple[Held, ...]
    unused: tuple[KnownDifference, ...]

    @property
    def contradictions(self) -> tuple[Held, ...]:
        """The cells that are not what the baseline says."""
        return tuple(one for one in self.held if one.outcome in CONTRADICTS)

    @property
    def compared(self) -> int:
        """How many cells something was expected of, and were measured."""
        unheard = (Outcome.NEW, Outcome.UNMEASURED)
        return sum(one.outcome not in unheard for one in self.held)


def hold(matrix: Matrix, baseline: Baseline, today: date) -> BaselineCheck:
    """Hold every cell of a matrix against what is expected of it."""
    before = _verdicts(baseline.matrix)
    held = [_held(matrix, entry, baseline, before, today) for entry in matrix.cells]
    met: dict[int, list[Held]] = {}
    for one in held:
        if one.known is not None:
            met.setdefault(id(one.known), []).append(one)
    over = {
        number
        for number, some in met.items()
        if all(one.outcome in (Outcome.AGREES, Outcome.UNMEASURED) for one in some)
        and any(one.outcome is Outcome.AGREES for one in some)
    }
    unused = tuple(one for one in baseline.known if id(one) not in met)
    return BaselineCheck(tuple(_again(one, over) for one in held), unused)


def _verdicts(matrix: Matrix | None) -> Mapping[tuple[str, Key], str]:
    if matrix is None:
        return {}
    return {(one.guest, one.key): one.verdict for one in matrix.cells if one.verdict is not None}


def _held(
    matrix: Matrix,
    entry: Entry,
    baseline: Baseline,
    before: Mapping[tuple[str, Key], str],
    today: date,
) -> Held:
    system = str(matrix.guests[entry.guest].get("system") or "")
    known = _last(rule for rule in baseline.known if rule.matches(entry, system))
    rule = _last(rule for rule in baseline.expect if rule.matches(entry, system))
    if rule is not None:
        words, expected = rule.words, " or ".join(rule.words)
        return Held(entry, _outcome(entry, words, known, today), expected, known)
    verdict = before.get((entry.guest, entry.key))
    words = () if verdict is None else (word(verdict),)
    return Held(entry, _outcome(entry, words, known, today), verdict, known)


def _last(found: Iterator[One]) -> One | None:
    """Return the last: who writes a file by hand puts the exception below the rule."""
    every = tuple(found)
    return every[-1] if every else None


def _outcome(
    entry: Entry, words: Sequence[str], known: KnownDifference | None, today: date
) -> Outcome:
    if entry.state is not State.MEASURED:
        return Outcome.UNMEASURED
    said = word(entry.verdict or "")
    if said in words:
        return Outcome.AGREES
    if known is not None and said in known.words:
        return Outcome.KNOWN if today <= known.expires else Outcome.EXPIRED
    return Outcome.DIFFERS if words or known is not None else Outcome.NEW


def _again(one: Held, over: set[int]) -> Held:
    """Mark agreement where all that a known difference is about agrees."""
    if id(one.known) not in over or one.outcome is not Outcome.AGREES:
        return one
    return Held(one.entry, Outcome.UNEXPECTED, one.expected, one.known)
