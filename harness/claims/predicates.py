"""What a measured cell has to be to bear a claim out; no operating system is named here."""

from harness.claims.claim import Predicate
from harness.matrix.evidence import Evidence
from harness.model import Cell, Depth
from harness.model.guest import SECTIONS
from harness.scenarios import CATALOGUE
from harness.scenarios.tally import SAME, STRAY

MADE_BY_US = tuple(name for name, section in SECTIONS.items() if section.made)
"""Providers that make a guest: what it is set to is what its image sets it to."""

HEIR = "inherited_by_"


def head(evidence: Evidence) -> str:
    """Return the word of a verdict, without share and errno."""
    return (evidence.entry.verdict or "").partition(":")[0]


def said(*words: str) -> Predicate:
    """The verdict is one of these words."""
    return lambda evidence: head(evidence) in words


def unsaid(*words: str) -> Predicate:
    """The verdict is none of these words."""
    return lambda evidence: head(evidence) not in words


def zero(*names: str) -> Predicate:
    """Not one was counted of any of these; a cell that counts none of them does not say."""

    def holds(evidence: Evidence) -> bool | None:
        counted = [evidence.entry.counts[name] for name in names if name in evidence.entry.counts]
        return None if not counted else not any(counted)

    return holds


def repeated(evidence: Evidence) -> bool | None:
    """The same 4-tuple came to the same listener again.

    Where it does not the cell is inconclusive (`failure-flows`), and decides nothing.
    """
    share = evidence.entry.statistics.get("again_same_share")
    return None if share is None else share >= SAME


def survivors_lost(evidence: Evidence) -> bool | None:
    """More of the survivors' own connections were not served than go astray."""
    counts = evidence.entry.counts
    total = counts.get("survivors_total", 0)
    return None if not total else total - counts.get("survivors_served", 0) > STRAY * total


def last_inherits(evidence: Evidence) -> bool | None:
    """All that was inherited went to the last member.

    The one before it does not say: the last may be the one that failed (docs/wire.md, "Victim").
    """
    if head(evidence) != "inherited":
        return False
    counts = evidence.entry.counts
    heirs = {int(name.removeprefix(HEIR)) for name in counts if name.startswith(HEIR)}
    last = _listeners(evidence.entry.cell) - 1
    return None if heirs in (set(), {last - 1}) else heirs == {last}


def _listeners(cell: Cell) -> int:
    return int(CATALOGUE[cell.scenario].parameters(cell, Depth.FULL)["listeners"])


def serves_at_most(limit: int) -> Predicate:
    """A larger group was asked for, and no more than so many members ever served.

    One that serves alone is no group, and a group that was not asked to be larger does not say.
    """

    def holds(evidence: Evidence) -> bool | None:
        counts = evidence.entry.counts
        if head(evidence) in ("one", "copied") or counts.get("asked", 0) <= limit:
            return None
        return counts.get("ever_served", 0) <= limit

    return holds


def set_from_the_start(name: str, value: int) -> Predicate:
    """A tunable has this value on a guest that nobody but its image has set up."""

    def holds(evidence: Evidence) -> bool | None:
        witness = evidence.witness
        found = witness.settings.get(name)
        return None if witness.provider not in MADE_BY_US or found is None else found == value

    return holds
