"""Findings about claims in words a reader knows: where a claim holds, and on what it depends."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.claims import Decided, Finding, PartFinding, Standing
from harness.claims.separate import Separator
from harness.claims.spans import Span
from harness.matrix.evidence import numbers, release_order
from harness.report.choices import COMPARED

FEW = 4
"""This many values of an axis are named; the others are only counted."""

VERSION = "version"
"""The name by which `separate` tells releases apart."""

CAUSES = {
    VERSION: "the release",
    "system": "the system",
    "guest": "the guest",
    "run": "the run",
    "question": "the question",
    "option": "the option",
    "protocol": "the protocol",
    "family": "the address family",
    "bind": "the bind address",
    "failure": "how the worker fails",
    "member": "which member leaves",
    "change": "whether a member leaves, joins or restarts",
    "case": "which socket has the option",
    "position": "the position of the socket",
    "order": "the order of leaving",
    "way": "the way of retiring",
    "source": "the sender's address",
    "ack": "when the final ACK comes",
    "peer": "who the clients are",
}
"""What a reader calls the names that `separate` uses; a tunable keeps its name."""

HOLDS = {
    Standing.CONFIRMED: "holds",
    Standing.REFUTED: "does not hold",
    Standing.MIXED: "holds in part",
}


def plain(text: str) -> str:
    """Return a sentence without the marks of Markdown, which a terminal shows as they are."""
    return text.replace("`", "").replace("*", "")


def heading(one: Finding) -> str:
    """Return the standing, and on what it depends if it is mixed."""
    if one.standing is Standing.NOT_TESTED and one.tested:
        return _so_far(one)
    if one.standing is not Standing.MIXED:
        return str(one.standing)
    mixed = [part.by for part in one.parts if part.standing is Standing.MIXED]
    causes = dict.fromkeys(filter(None, (_causes(by) for by in mixed or [one.by])))
    if not mixed and {name for by in one.by for name in by.names} == {"question"}:
        return f"{one.standing}: some parts hold, others do not"
    return f"{one.standing}: depends on {'; and on '.join(causes)}" if causes else one.standing


def _so_far(one: Finding) -> str:
    """Return how much of a claim is confirmed that has untested parts, and what was not run."""
    open_parts = [part for part in one.parts if part.standing is Standing.NOT_TESTED]
    unseen = [part.part.subject.label for part in open_parts if not part.undecided]
    names = list(dict.fromkeys(part.part.subject.label for part in open_parts))
    rest = f"{_some(names)} not {'run' if len(unseen) == len(open_parts) else 'settled'}"
    return f"{Standing.CONFIRMED} so far ({len(one.tested)} of {len(one.parts)}; {rest})"


def causes(part: PartFinding) -> str:
    """Return on what a mixed part depends, with the values; empty for other parts."""
    text = _causes(part.by)
    if not text:
        return ""
    (first, *others) = _told(part.by)
    if others or VERSION in first.names:
        return f"depends on {text}"
    return f"depends on {text}: holds at {_some(first.agree)}, not at {_some(first.contradict)}"


def _causes(found: Sequence[Separator]) -> str:
    """Return what separates the cells; several causes fit if the cells do not tell them apart."""
    texts = dict.fromkeys(" and on ".join(_names(one)) for one in _told(found))
    return " or on ".join([*texts][:FEW])


def _told(found: Sequence[Separator]) -> list[Separator]:
    """Return the separators without tunables that only changed together with the release."""
    known = {frozenset(one.names) for one in found}
    return [
        one
        for one in found
        if not any(
            "." in name and frozenset({*one.names} - {name} | {VERSION}) in known
            for name in one.names
        )
    ]


def _names(one: Separator) -> Iterator[str]:
    for place, name in enumerate(one.names):
        text = CAUSES.get(name, name)
        groups = _releases(one, place) if name == VERSION else ()
        yield f"{text} ({' differs from '.join(groups)})" if len(groups) == 2 else text


def _releases(one: Separator, place: int) -> tuple[str, ...]:
    """Return the releases in groups that answer alike, in words; empty if they cannot be told."""
    profiles: dict[str, set[tuple[str, bool]]] = {}
    for agrees, values in ((True, one.agree), (False, one.contradict)):
        for value in values:
            words = value.split(" ")
            if len(words) != len(one.names):
                return ()
            rest = " ".join(words[:place] + words[place + 1 :])
            profiles.setdefault(words[place], set()).add((rest, agrees))
    groups: dict[frozenset[tuple[str, bool]], list[str]] = {}
    for release in sorted(profiles, key=release_order):
        groups.setdefault(frozenset(profiles[release]), []).append(release)
    return tuple(between(some) for some in groups.values())


def between(releases: Iterable[str]) -> str:
    """Return the first and the last of some releases, by the numbers that matter."""
    every = sorted(releases, key=release_order)
    ends = dict.fromkeys((shortened(every[0]), shortened(every[-1])))
    return " – ".join(ends)  # noqa: RUF001 - from, to


def shortened(release: str) -> str:
    """Return a release as people say it: `6.1` for `6.1.0-50-cloud-amd64`."""
    return ".".join(map(str, numbers(release)[:COMPARED])) or release


def _some(values: Iterable[str]) -> str:
    named = list(dict.fromkeys(values))
    rest = f" and {len(named) - FEW} more" if len(named) > FEW else ""
    return ", ".join(named[:FEW]) + rest


def evidence(cells: Sequence[Decided], parts: Sequence[PartFinding]) -> str:
    """Return how many cells decided, of which scenarios, on which systems and releases."""
    scenarios = ", ".join(dict.fromkeys(cell.entry.scenario for cell in cells))
    count = len({(cell.witness.run, cell.entry.guest, cell.entry.cell.key) for cell in cells})
    head = f"{count} cell{'s' if count > 1 else ''} of {scenarios} on {_where(cells)}"
    return "; ".join([head, *_history(parts)])


def _where(cells: Iterable[Decided]) -> str:
    systems: dict[str, dict[str, None]] = {}
    for cell in cells:
        release = cell.witness.release or "of unknown release"
        systems.setdefault(cell.witness.system, {})[release] = None
    return ", ".join(f"{name} {between(found)}" for name, found in systems.items())


def _history(parts: Sequence[PartFinding]) -> Iterator[str]:
    """Yield where the parts hold, for systems where that changed from one release to another.

    A release that a part is not about says nothing against it, so it is named as such.
    """
    found: Mapping[Span, bool] = {
        span: any(_about(part, span) for part in parts if span in part.spans)
        for part in parts
        for span in part.spans
    }
    changed = {span.system for span in found if span.after is not None}
    for span, about in found.items():
        if span.system in changed:
            where = f"{span.system} {between((span.since, span.until))}"
            beside = "" if about else ", which the claim leaves out"
            yield f"{HOLDS[span.standing]} on {where}{beside}{_gap(span)}"


def _about(part: PartFinding, span: Span) -> bool:
    subject = part.part.subject
    return subject.reaches(numbers(span.since)) or subject.reaches(numbers(span.until))


def _gap(span: Span) -> str:
    if span.after is None:
        return ""
    return f" (between {shortened(span.after)} and {shortened(span.since)}: unknown)"
