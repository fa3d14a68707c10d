"""What is shown: a matrix, and what stands behind and beside it."""

from msgspec import Struct

from harness.matrix import Matrix
from harness.matrix.baseline import BaselineCheck
from harness.matrix.recordings import Recordings


class Report(Struct, frozen=True):
    """A matrix to show; `before` is the run it is compared with, `held` what a baseline says of it.

    Both are None where there is none.
    """

    matrix: Matrix
    before: Matrix | None = None
    recordings: Recordings = Recordings()
    held: BaselineCheck | None = None
