"""What clients met before and after each restart: all restarts of a stream laid over each other."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from harness.scenarios.tally import kind
from harness.wire.observation import LARGEST, Fate, Flows, Observation

STEPS = (0, 20, 50, 100, 200, 500, 1000, 2000)
"""ms after a restart began, at which a part of the picture begins; the last one has no end."""

BEGUN = "restart"
"""What a change is called in which a restart began."""


class Met(Struct, frozen=True, gc=False):
    """A connection that began `since` ms after a restart did; `old` is the generation before it."""

    since: int
    took: int
    fate: Fate
    old: int

    @property
    def name(self) -> str:
        """Who answered: `old`, `new`, or nobody (`lost`)."""
        if not isinstance(self.fate, int):
            return "lost"
        return "old" if self.fate <= self.old else "new"


def met(seen: Observation, stream: Flows) -> Iterator[tuple[Met, ...]]:
    """Yield the connections that began after each restart, and before the next."""
    flows = sorted(zip(stream.started, stream.took, stream.fates, strict=True), key=_began)
    starts = [began for began, _, _ in flows]
    old = 0
    begun = [one.at for one in seen.changes if one.what == BEGUN]
    for since, until in pairwise([*begun, LARGEST]):
        some = flows[bisect_right(starts, since - 1) : bisect_right(starts, until - 1)]
        yield tuple(Met(began - since, took, fate, old) for began, took, fate in some)
        old = max([old, *(fate for _, _, fate in some if isinstance(fate, int))])


def _began(flow: tuple[int, int, Fate]) -> int:
    return flow[0]


def timeline(restarts: Iterable[Sequence[Met]]) -> Mapping[str, int]:
    """Return what befell the connections of each part, such as `at_20_old`, and its slowest."""
    found = Counter[tuple[int, str]]()
    for restart in restarts:
        for flow in restart:
            step = STEPS[bisect_right(STEPS, flow.since) - 1]
            found[step, flow.name] += 1
            if kind(flow.fate) == "served" and flow.took > found[step, "slowest"]:
                found[step, "slowest"] = flow.took
    places = [(step, name) for step in STEPS for name in ("old", "new", "lost", "slowest")]
    return {f"at_{step}_{name}": found[step, name] for step, name in places if found[step, name]}


def turnover(seen: Observation, restarts: Iterable[Sequence[Met]]) -> Mapping[str, int]:
    """Return when the new configuration first answered, and when the old one last did.

    Both are in ms after the restart began, the longest of all restarts. Nothing is returned if the
    answers do not say which configuration they come from.
    """
    if not seen.facts.get("generations"):
        return {}
    first, last = list[int](), list[int]()
    for restart in restarts:
        answers: dict[str, list[int]] = {"old": [], "new": [], "lost": []}
        for one in restart:
            answers[one.name].append(one.since + one.took)
        first += [min(answers["new"])] if answers["new"] else []
        last += [max(answers["old"])] if answers["old"] else []
    named = {"new_first_ms": first, "old_last_ms": last}
    return {name: max(times) for name, times in named.items() if times}
