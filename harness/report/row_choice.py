"""Which rows of a matrix a reader wants to see: by guest, by scenario, or where releases differ."""

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from harness.matrix import Matrix
from harness.report.brief import summarised
from harness.report.grid import GridSection, sections

FILTERS = "--full, or --scenario ID, --guest NAME, --differs"


class RowChoice(Struct, frozen=True):
    """Guests and scenarios, empty for all; `full` shows every row of a summarised matrix."""

    guests: Collection[str] = ()
    scenarios: Collection[str] = ()
    differs: bool = False
    full: bool = False

    @property
    def narrow(self) -> bool:
        """Whether the reader asked for some rows; then the summaries are left out."""
        return bool(self.guests or self.scenarios or self.differs)

    def of(self, matrix: Matrix) -> Matrix:
        """Return the matrix with only the guests and scenarios that were asked for."""
        if not self.guests and not self.scenarios:
            return matrix
        guests = {
            name: facts
            for name, facts in matrix.guests.items()
            if not self.guests or name in self.guests
        }
        cells = tuple(
            cell
            for cell in matrix.cells
            if cell.guest in guests and (not self.scenarios or cell.scenario in self.scenarios)
        )
        return replace(matrix, guests=guests, cells=cells)

    def rows(self, matrix: Matrix) -> bool:
        """Whether the rows are shown, not only a line for each scenario."""
        return self.full or self.narrow or not summarised(matrix)

    def sections(self, matrix: Matrix) -> tuple[GridSection, ...]:
        """Return the sections with only the rows that were asked for."""
        found = sections(matrix)
        if not self.differs:
            return found
        kept = (replace(one, rows=tuple(row for row in one.rows if row.differs)) for one in found)
        return tuple(one for one in kept if one.rows)


ALL = RowChoice()
"""No choice: every row, or a summary of a mixed matrix."""
