"""The input of every format: a matrix, its recordings, and what it is compared with."""

from msgspec import Struct

from harness.matrix import Matrix
from harness.matrix.baseline import BaselineCheck
from harness.matrix.recordings import Recordings


class Report(Struct, frozen=True):
    """A matrix to show.

    `before` is the run it is compared with and `held` its check against a baseline; both may be
    None.
    """

    matrix: Matrix
    before: Matrix | None = None
    recordings: Recordings = Recordings()
    held: BaselineCheck | None = None
