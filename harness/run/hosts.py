"""The guest that is a machine's own kernel: over a cluster it has a row for each machine."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from harness.model import Guest
from harness.run.machines import Machine


def with_rows(
    guests: Mapping[str, Guest], machines: Sequence[Machine], names: Sequence[str]
) -> Mapping[str, Guest]:
    """Return the guests, with `host@NAME` for each machine in the place of `host`.

    A row in `names` stays known if its machine is not there, as in a run that is resumed.
    """
    found: dict[str, Guest] = {}
    for name, guest in guests.items():
        rows = _rows(guest, machines)
        found |= {row: replace(guest, name=row) for row in rows} or {name: guest}
    for name in names:
        base = guests.get(name.partition("@")[0])
        if base is not None and "@" in name and _is_any_machine(base):
            found.setdefault(name, replace(base, name=name))
    return found


def expanded(
    names: Sequence[str], guests: Mapping[str, Guest], machines: Sequence[Machine]
) -> tuple[str, ...]:
    """Return the names, with the rows of a guest in the place of its name."""
    found = list[str]()
    for name in names:
        guest = guests.get(name)
        found += (() if guest is None else _rows(guest, machines)) or (name,)
    return tuple(found)


def allowed(guest: Guest, machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """Return the machines that may start a guest: for `host@NAME` only that one."""
    name = guest.name.partition("@")[2]
    return tuple(one for one in machines if not name or one.name == name)


def _rows(guest: Guest, machines: Sequence[Machine]) -> tuple[str, ...]:
    """Return the names of a guest's rows; empty if it has none of its own for each machine."""
    if not _is_any_machine(guest):
        return ()
    return tuple(f"{guest.name}@{one.name}" for one in machines if one.name)


def _is_any_machine(guest: Guest) -> bool:
    """Return whether a guest is the kernel of whichever machine the harness runs on."""
    host = guest.host
    return host is not None and len(guest.sections) == 1 and not (host.system or host.release)
