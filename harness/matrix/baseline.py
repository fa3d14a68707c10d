"""The expectations of a matrix: words, and known differences with a reason and an expiry date.

A known difference that is no longer needed is reported, like an unknown one.
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
    """The result of checking a cell against its expectation."""

    AGREES = "agrees"
    DIFFERS = "differs"
    KNOWN = "known"
    EXPIRED = "expired"
    UNEXPECTED = "agrees-unexpectedly"
    NEW = "new"
    UNMEASURED = "unmeasured"


CONTRADICTS = (Outcome.DIFFERS, Outcome.EXPIRED, Outcome.UNEXPECTED)
"""Outcomes that make a run differ from its baseline."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """Cells and the words expected of them.

    `guest` is a guest's name, its system in lower case, or a pattern of either (fnmatch). A cell
    matches if it has all values in `axes`.
    """

    scenario: str
    verdict: str | tuple[str, ...]
    guest: str = "*"
    axes: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """The expected words, without counts."""
        verdicts = (self.verdict,) if isinstance(self.verdict, str) else self.verdict
        return tuple(map(word, verdicts))

    def matches(self, entry: Entry, system: str) -> bool:
        """Whether the rule is about this cell."""
        names = (entry.guest, system.lower())
        return (
            fnmatchcase(entry.scenario, self.scenario)
            and any(fnmatchcase(name, self.guest) for name in names)
            and self.axes.items() <= entry.axes.items()
        )


class KnownDifference(Rule, frozen=True, kw_only=True):
    """A known difference: the reason, and the last day on which it is excused."""

    reason: str
    expires: date

    @property
    def label(self) -> str:
        """The entry in one line."""
        axes = "".join(f" {name}={value}" for name, value in self.axes.items())
        return f"{self.guest} {self.scenario}{axes}: {' or '.join(self.words)}"


class Baseline(Struct, frozen=True):
    """The words of a matrix, rules that override them, and known differences."""

    matrix: Matrix | None = None
    expect: tuple[Rule, ...] = ()
    known: tuple[KnownDifference, ...] = ()


class Held(Struct, frozen=True):
    """A checked cell: what was expected, and the known difference that matches it."""

    entry: Entry
    outcome: Outcome
    expected: str | None = None
    known: KnownDifference | None = None

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        said = f"{self.entry.guest}: {self.entry.cell.key}: "
        if self.known is None:
            return f"{said}{self.expected} before, {self.entry.verdict} now"
        why = f"{self.known.reason}; until {self.known.expires}"
        if self.outcome is Outcome.EXPIRED:
            return f"{said}{self.entry.verdict} is no longer excused ({why})"
        if self.outcome is Outcome.UNEXPECTED:
            return f"{said}{self.entry.verdict} as expected: remove its known difference ({why})"
        if self.outcome is Outcome.KNOWN:
            return f"{said}{self.entry.verdict} is known ({why})"
        return f"{said}{self.expected or self.known.label} expected, {self.entry.verdict} now"


class BaselineCheck(Struct, frozen=True):
    """A matrix checked against a baseline; `unused` are known differences that match no cell."""

    held: tuple[Held, ...]
    unused: tuple[KnownDifference, ...]

    @property
    def contradictions(self) -> tuple[Held, ...]:
        """The cells that contradict the baseline."""
        return tuple(one for one in self.held if one.outcome in CONTRADICTS)

    @property
    def compared(self) -> int:
        """How many measured cells had an expectation."""
        unheard = (Outcome.NEW, Outcome.UNMEASURED)
        return sum(one.outcome not in unheard for one in self.held)


def hold(matrix: Matrix, baseline: Baseline, today: date) -> BaselineCheck:
    """Check every cell of a matrix against the baseline; `today` decides which entries expired."""
    before = _verdicts(baseline.matrix)
    held = [_held(matrix, entry, baseline, before, today) for entry in matrix.cells]
    met: dict[int, list[Held]] = {}
    for one in held:
        if one.known is not None:
            met.setdefault(id(one.known), []).append(one)
    # A known difference is over only if no cell it matches shows it any more: one entry may cover
    # cells of several guests.
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
    """Return the last one: in a file written by hand, an exception stands below its rule."""
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
    """Return the cell, marked `UNEXPECTED` if it agrees and its known difference is over."""
    if id(one.known) not in over or one.outcome is not Outcome.AGREES:
        return one
    return Held(one.entry, Outcome.UNEXPECTED, one.expected, one.known)
