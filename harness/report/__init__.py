"""A matrix as text: one module for each format, and this table. Same matrix, same bytes."""

from collections.abc import Callable, Mapping

from harness.matrix import Matrix, encode
from harness.report import markdown, terminal


def _json(matrix: Matrix) -> str:
    return encode(matrix).decode()


FORMATS: Mapping[str, Callable[[Matrix], str]] = {
    "terminal": terminal.render,
    "markdown": markdown.render,
    "json": _json,
}
"""Format to what renders it."""
