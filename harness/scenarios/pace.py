"""The pace of `failure-arrivals`: what a stream can show on a guest that is this fast."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from harness.scenarios import statistics
from harness.scenarios.tally import server
from harness.wire.observation import Observation

REPEAT_MS = 1000
"""No kernel repeats a lost SYN earlier (RFC 6298, 2.1). If a flow may take as long as this merely
because the guest is slow, a delay by the kernel cannot be told from it."""

SPREAD = 3
"""With three of four workers left, and a hash that fills one queue more than another, flows took up
to 2.1 times what was usual before the failure (`Pace.usual_ms`). More than this is a delay."""

USUAL = 0.95
"""Share of the flows before the failure that sets the usual time."""

REPEATED = 0.005
"""Share of the flows that go astray without any failure: NetBSD repeats the SYN of 3 to 5 of 1000
connects on loopback (docs/traps.md, trap 9)."""

MAY_BE_CHANCE = 0.05
"""So many flows that go astray say nothing if this is their chance at `REPEATED`, or more."""

UNMET = 0.01
"""Largest chance that the failure met no flow at the worker, for `served` to mean something."""


class StreamPace(Struct, frozen=True):
    """How a stream went whose pace was set by what the guest can serve.

    `window` flows were under way at once, and took `usual_ms` before the failure. `share` is the
    share of them that the worker served which failed later. `spare` flows at it are no evidence.
    """

    window: int
    usual_ms: int
    share: float
    spare: int
    repeats: bool

    @classmethod
    def of(cls, seen: Observation, at: int, spare: int) -> "StreamPace | None":
        """Return the pace of the stream; None if it ran at full speed (an old recording)."""
        if seen.parameters.get("pace") != "measured":
            return None
        stream, victim = seen.phase("stream"), seen.changes[0].member
        flows = zip(stream.fates, stream.started, stream.took, strict=True)
        before = [
            (server(fate) == victim, took)
            for fate, began, took in flows
            if began + took < at and server(fate) is not None
        ]
        times = sorted(took for _, took in before) or [0]
        return cls(
            window=int(seen.facts["window"]),
            usual_ms=times[int(USUAL * (len(times) - 1))],
            share=sum(own for own, _ in before) / len(before) if before else 0.0,
            spare=spare,
            repeats=seen.parameters.get("protocol") != "udp",
        )

    def counts(self) -> Mapping[str, int]:
        """Return the figures by name."""
        return {"at_once": self.window, "usual_ms": self.usual_ms}

    def blind(self, patience: int) -> str | None:
        """Return why the stream would not have shown a failure on this guest; None if it would."""
        if self.repeats and patience >= REPEAT_MS:
            return (
                f"the guest is too slow: a flow may take {patience} ms here, and a kernel repeats "
                f"a lost SYN after {REPEAT_MS} ms"
            )
        if self._unmet() > UNMET:
            return (
                f"the guest is too slow: it serves {self.window} flows at once in time, and the "
                f"worker that failed had served {self.share:.0%} of those before"
            )
        return None

    def _unmet(self) -> float:
        """Return the chance that at most `spare` flows were at the worker when it failed."""
        if 0 < self.share < 1:
            return statistics.lower_tail(self.window, self.spare, self.share)
        return float(self.window * self.share <= self.spare)


def chance(astray: Sequence[int], of: Sequence[int]) -> float:
    """Return the chance of so many flows astray in any of these parts of the stream."""
    tails = (
        statistics.upper_tail(flows, count, REPEATED) if count else 1.0
        for count, flows in zip(astray, of, strict=True)
    )
    return min(1.0, len(of) * min(tails))
