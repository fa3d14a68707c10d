"""The result for a claim: its standing, the cells that decided, and what separates them."""

from collections.abc import Mapping

from msgspec import Struct

from harness.claims.claim import Claim, Part, Standing
from harness.claims.separate import Separator
from harness.claims.spans import Span
from harness.matrix import Entry
from harness.matrix.evidence import Witness


class Decided(Struct, frozen=True):
    """A measured cell that supports a part (`agrees`) or contradicts it."""

    witness: Witness
    entry: Entry
    agrees: bool


class PartFinding(Struct, frozen=True):
    """The result for a part; `why` is set for NOT TESTED, `by` for MIXED.

    `undecided` counts the cells that were asked but did not decide, by state.
    """

    part: Part
    standing: Standing
    why: str | None
    by: tuple[Separator, ...]
    spans: tuple[Span, ...]
    cells: tuple[Decided, ...]
    undecided: Mapping[str, int]


class Finding(Struct, frozen=True):
    """The result for a claim; `why` is set for NOT TESTED, `by` for MIXED."""

    claim: Claim
    standing: Standing
    why: str | None
    by: tuple[Separator, ...]
    parts: tuple[PartFinding, ...]

    @property
    def tested(self) -> tuple[PartFinding, ...]:
        """The parts that were tested."""
        return tuple(one for one in self.parts if one.standing is not Standing.NOT_TESTED)

    @property
    def cells(self) -> tuple[Decided, ...]:
        """The cells that decided any part."""
        return tuple(cell for part in self.tested for cell in part.cells)
