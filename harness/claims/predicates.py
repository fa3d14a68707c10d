"""What a measured cell must show to support a claim; nothing here names an operating system."""

from harness.claims.claim import Predicate
from harness.matrix.evidence import Evidence
from harness.model import Cell, Depth
from harness.model.guest import SECTIONS
from harness.scenarios import CATALOGUE
from harness.scenarios.handshake_rounds import COLLAPSED
from harness.scenarios.tally import SAME, STRAY

MADE_BY_US = tuple(name for name, section in SECTIONS.items() if section.made)
"""Providers that make the guest, so that its settings are those of its image."""

HEIR = "inherited_by_"

ABSENT = ("undefined", "unsupported")

BY_ORDER = frozenset({"newest", "oldest", "one"})
"""Words that name a member, by the order in which it came or by chance."""

ASKED_MORE = ("addresses_", "spoke_")
"""Counts of a cell in which clients had more addresses, or members spoke in a known order."""


def head(evidence: Evidence) -> str:
    """Return the word of a verdict, without share and errno."""
    return (evidence.entry.verdict or "").partition(":")[0]


def absent(evidence: Evidence) -> bool:
    """Whether the system has no such option: its headers lack it, or setsockopt() refuses it.

    Such a cell contradicts nothing but a claim that the option is there (`there_and`).
    """
    return head(evidence) in ABSENT


def order_unproven(evidence: Evidence) -> bool:
    """Whether a word by order may have another reason: an address hash, or who spoke last.

    Either the agent could add no client address, or the cell is of datagrams and was asked before
    members spoke in a known order (docs/traps.md, traps 14 and 15).
    """
    entry = evidence.entry
    if head(evidence) not in BY_ORDER:
        return False
    asked_more = any(name.startswith(ASKED_MORE) for name in entry.counts)
    return ":" in (entry.verdict or "") or (entry.axes.get("protocol") == "udp" and not asked_more)


def said(*words: str) -> Predicate:
    """Whether the verdict is one of these words; None if it says nothing about the question."""

    def holds(evidence: Evidence) -> bool | None:
        if head(evidence) in words:
            return None if order_unproven(evidence) else True
        return None if absent(evidence) or _may_be(words, evidence) else False

    return holds


def unsaid(*words: str) -> Predicate:
    """Whether the verdict is none of these words; None if it says nothing about the question."""

    def holds(evidence: Evidence) -> bool | None:
        if head(evidence) in words:
            return False
        return None if absent(evidence) or order_unproven(evidence) else True

    return holds


def _may_be(words: tuple[str, ...], evidence: Evidence) -> bool:
    """Whether the word by order may stand for one of these, which are by order, too."""
    return order_unproven(evidence) and bool(BY_ORDER.intersection(words))


def there_and(*words: str) -> Predicate:
    """Whether the option is there, and the verdict is one of these words."""
    return lambda evidence: head(evidence) in words


def uneven(evidence: Evidence) -> bool | None:
    """Whether nothing is spread evenly; None if clients are spread by their addresses."""
    return None if head(evidence) == "by-address" else unsaid("balanced")(evidence)


def unless(words: tuple[str, ...], holds: Predicate) -> Predicate:
    """Decide only if the verdict is none of these words."""
    return lambda evidence: None if head(evidence) in words else holds(evidence)


def without(axis: str, holds: Predicate) -> Predicate:
    """Decide only by cells that have no such axis."""
    return lambda evidence: None if axis in evidence.entry.axes else holds(evidence)


def of_a_group(holds: Predicate) -> Predicate:
    """Decide only if more than one member serves: one alone has no place to lose."""

    def decides(evidence: Evidence) -> bool | None:
        return None if evidence.entry.counts.get("members_serving") == 1 else holds(evidence)

    return decides


def zero(*names: str) -> Predicate:
    """Whether all of these counts are 0; None if the cell has none of them."""

    def holds(evidence: Evidence) -> bool | None:
        counted = [evidence.entry.counts[name] for name in names if name in evidence.entry.counts]
        return None if not counted else not any(counted)

    return holds


def repeated(evidence: Evidence) -> bool | None:
    """Whether the same 4-tuple reached the same listener again.

    If it did not, the cell is inconclusive (`failure-flows`) and decides nothing.
    """
    share = evidence.entry.statistics.get("again_same_share")
    return None if share is None else share >= SAME


def survivors_lost(evidence: Evidence) -> bool | None:
    """Whether more than `STRAY` of the survivors' own connections were not served."""
    counts = evidence.entry.counts
    total = counts.get("survivors_total", 0)
    return None if not total else total - counts.get("survivors_served", 0) > STRAY * total


def others_collapse(evidence: Evidence) -> bool | None:
    """Whether a failure also resets handshakes of the survivors; None for the special cases.

    A join is no failure. The first member is special, too: if a kernel searches members from the
    newest to the oldest, no other place depends on it.
    """
    axes = evidence.entry.cell.axes
    if axes.get("member") == "first" or axes.get("change") == "join":
        return None
    return head(evidence) == COLLAPSED


def last_inherits(evidence: Evidence) -> bool | None:
    """Whether the last member inherited everything.

    None if it was the member before it: the last one may have failed (docs/wire.md, "Victim").
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
    """Whether at most `limit` members of a larger group ever served.

    None if one member serves alone, which is no group, or if no larger group was asked for.
    """

    def holds(evidence: Evidence) -> bool | None:
        counts = evidence.entry.counts
        if head(evidence) in ("one", "copied") or counts.get("asked", 0) <= limit:
            return None
        return counts.get("ever_served", 0) <= limit

    return holds


def set_from_the_start(name: str, value: int) -> Predicate:
    """Whether a tunable has this value on a guest with the settings of its image; else None."""

    def holds(evidence: Evidence) -> bool | None:
        witness = evidence.witness
        found = witness.settings.get(name)
        return None if witness.provider not in MADE_BY_US or found is None else found == value

    return holds
