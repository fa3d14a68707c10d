"""Flows whose member is known from before: the victim's and the survivors', and if that holds."""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct

from harness.scenarios.tally import SAME, STRAY, kind, server
from harness.wire.observation import Fate


class Homes(Struct, frozen=True):
    """What became of flows, by who served the same 4-tuple when all was well.

    `survivors` are pairs of home and fate; `homeless` are those that nobody had served.
    """

    victim: tuple[Fate, ...]
    survivors: tuple[tuple[int, Fate], ...]
    homeless: int
    total: int
    expected: int

    @classmethod
    def of(cls, home: Sequence[Fate], fates: Sequence[Fate | None], victim: int) -> "Homes":
        """Sort fates by their home; a fate None leaves its flow out."""
        known = [(server(was), now) for was, now in zip(home, fates, strict=True)]
        return cls(
            victim=tuple(now for was, now in known if was == victim and now is not None),
            survivors=tuple(
                (was, now)
                for was, now in known
                if was is not None and was != victim and now is not None
            ),
            homeless=sum(was is None for was, _ in known),
            total=len(known),
            expected=sum(was == victim for was, _ in known),
        )

    @property
    def kept(self) -> float:
        """Share of the survivors' flows that came home, of those that were served; 1 of none."""
        served = [server(now) == was for was, now in self.survivors if server(now) is not None]
        return served.count(True) / len(served) if served else 1.0

    @property
    def hold(self) -> bool:
        """Whether the mapping is a function of the 4-tuple, so that homes say whose a flow is."""
        return self.kept >= SAME

    @property
    def loss(self) -> str | None:
        """Return why so many flows have no home that nothing can be said; None if they have."""
        if self.homeless <= STRAY * self.total:
            return None
        return f"lossy: {self.homeless} of {self.total} flows were not served before it failed"

    @property
    def all(self) -> tuple[Fate, ...]:
        """Every fate, whosever it is."""
        return (*self.victim, *(now for _, now in self.survivors))

    def counts(self, named: Callable[[Fate], str], taken: str) -> dict[str, int]:
        """Count the victim's flows by the name of their fate, by who has taken them, the others'.

        `taken` begins the names of the second: `inherited` makes `inherited_by_3`.
        """
        own, others = (
            Counter(map(named, self.victim)),
            Counter(kind(now) for _, now in self.survivors),
        )
        heirs = Counter(index for now in self.victim if (index := server(now)) is not None)
        return {
            "victim_total": len(self.victim),
            **{f"victim_{name}": own[name] for name in sorted(own)},
            **{f"{taken}_by_{index}": heirs[index] for index in sorted(heirs)},
            "survivors_total": len(self.survivors),
            **{f"survivors_{name}": others[name] for name in sorted(others)},
        }

    def plausible(self, count: int) -> bool:
        """Whether so many flows may be the victim's, by their number alone: its share, or near."""
        return self.expected <= 2 * count and count <= 2 * self.expected
