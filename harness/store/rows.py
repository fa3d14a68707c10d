"""Which row of the matrix a line of the journal belongs to: a row never mixes machines.

Without a cluster each guest is one row. If several machines answered for a guest, because one was
lost, the one with the most answers has the guest's row, and each other one a row of its own,
`GUEST@MACHINE`. The copies of a guest that is split into shards are the same, so they stay together
wherever they ran.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from harness.store.journal import Asked, GuestMet, Line, RunBegun

HERE = "here"
"""Stands for this machine, which has no name, beside machines of a cluster."""

Place = tuple[str, str]
"""A guest and a machine."""


class _Work(Struct):
    """What a machine did for a guest; `last` is the number of its last line."""

    cells: set[object] = field(default_factory=set)
    last: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """The most answers win, and of equal machines the latest one."""
        return len(self.cells), self.last


def rows_of(lines: Sequence[Line]) -> Mapping[Place, str]:
    """Return the row of each guest on each machine.

    A machine that answered nothing has no row, unless it was the only one.
    """
    sharded = any(isinstance(line, RunBegun) and line.shards > 1 for line in lines)
    rows = dict[Place, str]()
    for guest, machines in _works(lines).items():
        first = max(machines, key=lambda name: machines[name].order)
        for machine, work in machines.items():
            if sharded or machine == first:
                rows[guest, machine] = guest
            elif work.cells:
                rows[guest, machine] = f"{guest}@{machine or _free(machines)}"
    return rows


def _works(lines: Iterable[Line]) -> Mapping[str, Mapping[str, _Work]]:
    """Return what each machine did for each guest."""
    found: dict[str, dict[str, _Work]] = {}
    for number, line in enumerate(lines):
        if isinstance(line, Asked | GuestMet):
            work = found.setdefault(line.guest, {}).setdefault(line.machine, _Work())
            work.last = number
            if isinstance(line, Asked) and line.raw[1]:
                work.cells.add(line.cell)
    return found


def _free(machines: Iterable[str]) -> str:
    """Return a name for this machine that no other one has."""
    name = HERE
    while name in machines:
        name += "-"
    return name
