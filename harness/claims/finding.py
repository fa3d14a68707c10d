"""What came of a claim: its standing, the cells that decided, and by what they differ."""

from collections.abc import Mapping

from msgspec import Struct

from harness.claims.claim import Claim, Part, Standing
from harness.claims.separate import Separator
from harness.claims.spans import Span
from harness.matrix import Entry
from harness.matrix.evidence import Witness


class Decided(Struct, frozen=True):
    """A measured cell that bears a part out (`agrees`), or contradicts it."""

    witness: Witness
    entry: Entry
    agrees: bool


class PartFinding(Struct, frozen=True):
    """What came of a part; `why` goes with NOT TESTED, `by` with MIXED.

    `undecided` counts the other cells that were asked, by what they came to.
    """

    part: Part
    standing: Standing
    why: str | None
    by: tuple[Separator, ...]
    spans: tuple[Span, ...]
    cells: tuple[Decided, ...]
    undecided: Mapping[str, int]


class Finding(Struct, frozen=True):
    """What came of a claim; `why` goes with NOT TESTED, `by` with MIXED."""

    claim: Claim
    standing: Standing
    why: str | None
    by: tuple[Separator, ...]
    parts: tuple[PartFinding, ...]

    @property
    def tested(self) -> tuple[PartFinding, ...]:
        """The parts of which something can be said."""
        return tuple(one for one in self.parts if one.standing is not Standing.NOT_TESTED)

    @property
    def cells(self) -> tuple[Decided, ...]:
        """Every cell that decided any part."""
        return tuple(cell for part in self.tested for cell in part.cells)
