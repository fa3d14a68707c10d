"""From the words of a user to guests and scenarios."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.guests import load, select
from harness.machine.resources import guests_folder
from harness.model import Guest
from harness.run.nearest import unknown


def known_guests(folders: Sequence[Path]) -> Mapping[str, Guest]:
    """Return the guests that come with us and those of the user's folders."""
    return load([guests_folder(), *folders])


def known_guest(name: str, folders: Sequence[Path]) -> Guest:
    """Return one guest, by its own name or by a system that has just this one."""
    found = select(known_guests(folders), [name], lambda _: True)
    if len(found) != 1:
        names = " ".join(guest.name for guest in found)
        raise UsageError(f"{name} is {len(found)} guests, name one", hint=names or None)
    return found[0]


def known_scenarios(names: Sequence[str]) -> tuple[str, ...]:
    """Return the scenarios that were named, all if none was; `UsageError` for an unknown one."""
    from harness.scenarios import CATALOGUE  # 25 modules that `guests` does without

    for name in names:
        if name not in CATALOGUE:
            raise unknown("scenario", name, CATALOGUE)
    return tuple(name for name in CATALOGUE if not names or name in names)
