"""Selects guests by the names on the command line."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from harness.errors import UsageError
from harness.model import Guest


def select(
    guests: Mapping[str, Guest], names: Sequence[str], available: Callable[[Guest], bool]
) -> tuple[Guest, ...]:
    """Return the named guests, each once, in the order of the names; raise `UsageError`.

    A name is that of a guest or of a system (all its releases), `all`, or `available`: the guests
    that this machine can start. Only then is the function `available` called.
    """
    chosen: dict[str, Guest] = {}
    for name in names:
        for guest in _meant(guests, name, available):
            chosen[guest.name] = guest
    return tuple(chosen.values())


def _meant(
    guests: Mapping[str, Guest], name: str, available: Callable[[Guest], bool]
) -> Sequence[Guest]:
    if name == "all":
        return tuple(guests.values())
    if name == "available":
        return tuple(guest for guest in guests.values() if available(guest))
    if name in guests:
        return (guests[name],)
    of_system = tuple(guest for guest in guests.values() if guest.system.lower() == name.lower())
    if of_system:
        return of_system
    raise _unknown(guests, name)


def _unknown(guests: Mapping[str, Guest], name: str) -> UsageError:
    systems = {guest.system.lower() for guest in guests.values()}
    near = get_close_matches(name, [*guests, *systems, "all", "available"], 3)
    every = "`reuseport-matrix guests` lists all guests"
    hint = f"did you mean {' or '.join(near)}?" if near else every
    return UsageError(f"no guest is called {name!r}", hint=hint)
