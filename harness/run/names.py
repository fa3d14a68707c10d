"""Finds the guests and scenarios that a user names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.guests import load, select
from harness.machine.resources import guests_folder
from harness.model import Guest
from harness.run.nearest import unknown


def known_guests(folders: Sequence[Path]) -> Mapping[str, Guest]:
    """Return the guests that come with this program and those in the user's folders, by name."""
    return load([guests_folder(), *folders])


def known_guest(name: str, folders: Sequence[Path]) -> Guest:
    """Return one guest, by its name or by the name of a system with only this guest."""
    found = select(known_guests(folders), [name], lambda _: True)
    if len(found) != 1:
        names = " ".join(guest.name for guest in found)
        message = f"`{name}` matches {len(found)} guests; name one of them"
        raise UsageError(message, hint=names or None)
    return found[0]


def known_scenarios(names: Sequence[str]) -> tuple[str, ...]:
    """Return the named scenarios, or all if none is named; `UsageError` for an unknown one."""
    from harness.scenarios import CATALOGUE  # 25 modules that `guests` does not need

    for name in names:
        if name not in CATALOGUE:
            raise unknown("scenario", name, CATALOGUE)
    return tuple(name for name in CATALOGUE if not names or name in names)
