"""Homes: the member that served each 4-tuple before the failure, and whether that still holds."""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct

from harness.scenarios.tally import SAME, STRAY, kind, server
from harness.wire.observation import Fate


class Homes(Struct, frozen=True):
    """The fates of flows, grouped by the member that served the same 4-tuple before the failure.

    `victim` are the fates of the flows of those that failed, `survivors` pairs of home and fate.
    `homeless` counts the flows that no member had served, `expected` the victims' flows.
    """

    victim: tuple[Fate, ...]
    survivors: tuple[tuple[int, Fate], ...]
    homeless: int
    total: int
    expected: int

    @classmethod
    def of(cls, home: Sequence[Fate], fates: Sequence[Fate | None], *victims: int) -> "Homes":
        """Group the fates by home; a flow whose fate is None is left out."""
        known = [(server(was), now) for was, now in zip(home, fates, strict=True)]
        return cls(
            victim=tuple(now for was, now in known if was in victims and now is not None),
            survivors=tuple(
                (was, now)
                for was, now in known
                if was is not None and was not in victims and now is not None
            ),
            homeless=sum(was is None for was, _ in known),
            total=len(known),
            expected=sum(was in victims for was, _ in known),
        )

    @property
    def kept(self) -> float:
        """Share of the survivors' served flows that reached their home again; 1 if none served."""
        served = [server(now) == was for was, now in self.survivors if server(now) is not None]
        return served.count(True) / len(served) if served else 1.0

    @property
    def hold(self) -> bool:
        """Whether the 4-tuple alone decides the member, so that a flow's home can be trusted."""
        return self.kept >= SAME

    @property
    def loss(self) -> str | None:
        """A sentence if more than `STRAY` of the flows have no home, else None."""
        if self.homeless <= STRAY * self.total:
            return None
        return f"lossy: {self.homeless} of {self.total} flows were not served before it failed"

    @property
    def all(self) -> tuple[Fate, ...]:
        """The fates of all flows that had a home."""
        return (*self.victim, *(now for _, now in self.survivors))

    def counts(self, named: Callable[[Fate], str], taken: str) -> dict[str, int]:
        """Count the victim's flows by fate and by the member that took them, then the survivors'.

        `taken` is the prefix of the second group: `inherited` gives `inherited_by_3`.
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
        """Whether `count` flows may be the victim's: half to twice what it served before."""
        return self.expected <= 2 * count and count <= 2 * self.expected
