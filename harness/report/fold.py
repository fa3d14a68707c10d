"""Folds points of the axes with equal answers into few lines, each a product of values."""

from collections.abc import Hashable, Iterable, Sequence

from msgspec import Struct

from harness.model import AXES

MERGED = ("family", "bind", "protocol", "failure")
"""The axes along which points are merged first; the other axes follow, sorted by name."""

Point = tuple[tuple[str, str], ...]

Values = tuple[tuple[str, tuple[str, ...]], ...]
"""For each axis the values of a line. The line stands for exactly their combinations."""


class Fold(Struct, frozen=True):
    """A product of points with one key; `members` are their indexes in the input."""

    values: Values
    key: Hashable
    members: tuple[int, ...]

    @property
    def first(self) -> int:
        """The index of one member, which stands for all."""
        return self.members[0]


def folded(points: Iterable[tuple[Point, Hashable]]) -> tuple[Fold, ...]:
    """Merge points that have the same key and differ along one axis; each is in one fold."""
    folds: Sequence[Fold] = [
        Fold(tuple((axis, (value,)) for axis, value in point), key, (place,))
        for place, (point, key) in enumerate(points)
    ]
    axes = {axis for fold in folds for axis, _ in fold.values}
    for axis in sorted(axes, key=lambda axis: (_rank(axis), axis)):
        folds = _merged(folds, axis)
    return tuple(folds)


def _rank(axis: str) -> int:
    return MERGED.index(axis) if axis in MERGED else len(MERGED)


def _merged(folds: Iterable[Fold], axis: str) -> Sequence[Fold]:
    merged: dict[object, Fold] = {}
    for fold in folds:
        others = tuple(pair for pair in fold.values if pair[0] != axis)
        same = (others, fold.key, len(others) < len(fold.values))
        merged[same] = _joined(merged[same], fold, axis) if same in merged else fold
    return list(merged.values())


def _joined(one: Fold, other: Fold, axis: str) -> Fold:
    more = dict(other.values).get(axis, ())
    values = tuple(
        (name, (*own, *(value for value in more if value not in own)) if name == axis else own)
        for name, own in one.values
    )
    return Fold(values, one.key, one.members + other.members)


def label(values: Values, fixed: Iterable[str] = ()) -> str:
    """Return the values in words, without `fixed` axes; axes not in `AXES` show their name."""
    parts = []
    for axis, some in values:
        if axis not in fixed:
            name = "" if axis in AXES else f"{axis} "
            parts.append(name + " ".join(some))
    return " · ".join(parts) or "all"
