"""The columns of the page's table: guests by system and release, the oldest release first."""

from collections.abc import Sequence
from itertools import groupby

from msgspec import Struct

from harness.matrix import Matrix
from harness.matrix.evidence import numbers, release_order
from harness.model import State
from harness.report.answers import SYSTEMS
from harness.report.choices import COMPARED
from harness.report.provenance import system
from harness.text import short


class PageColumn(Struct, frozen=True):
    """A guest: its system and a short release for the head, and the rest for the details.

    `release` is the guest's name if nothing else tells it from its neighbours. `answered` is false
    if no cell of it was run. All but `guest`, its key in the matrix, is safe to show.
    """

    guest: str
    name: str
    system: str
    release: str
    details: str
    answered: bool


class PageSystem(Struct, frozen=True):
    """Neighbouring columns of one system."""

    name: str
    columns: int


def page_columns(matrix: Matrix) -> tuple[PageColumn, ...]:
    """Return the columns of a matrix in the order of the page."""
    order = {name: at for at, name in enumerate(SYSTEMS)}
    told = {name: _told(matrix, name) for name in matrix.guests}
    guests = sorted(
        matrix.guests,
        key=lambda name: (
            order.get(told[name][0], len(order)),
            told[name][0],
            release_order(told[name][1]),
            name,
        ),
    )
    heads = [(told[name][0], _brief(told[name][1])) for name in guests]
    by_guest = matrix.by_guest
    return tuple(
        PageColumn(
            name,
            short(name),
            short(head[0] or "unknown system"),
            short(head[1] if head[1] and heads.count(head) == 1 else name),
            short(system(matrix, name)),
            any(cell.state is not State.NOT_RUN for cell in by_guest[name]),
        )
        for name, head in zip(guests, heads, strict=True)
    )


def page_systems(columns: Sequence[PageColumn]) -> tuple[PageSystem, ...]:
    """Return the systems above the columns."""
    return tuple(
        PageSystem(name, len(list(some))) for name, some in groupby(columns, lambda one: one.system)
    )


def _told(matrix: Matrix, guest: str) -> tuple[str, str]:
    known = matrix.guests[guest]
    name, release = known.get("system"), known.get("release")
    return (
        name if isinstance(name, str) else "",
        release if isinstance(release, str) else "",
    )


def _brief(release: str) -> str:
    number = numbers(release)[:COMPARED]
    return ".".join(map(str, number)) if number else release
