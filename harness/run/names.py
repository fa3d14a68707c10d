"""Finds the guests and scenarios that a user names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.errors import UsageError
from harness.guests import load, select
from harness.machine.resources import guests_folder, servers_folder
from harness.model import Guest
from harness.model.server import Server
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


def known_servers(folders: Sequence[Path]) -> Mapping[str, Server]:
    """Return the servers that come with this program and those in the user's folders, by name."""
    from harness.servers import load as load_servers  # only some commands need them

    return load_servers([servers_folder(), *folders])


class ServerChoice(Struct, frozen=True):
    """The servers that a user asks for: those named, those of folders, or `every` one."""

    names: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    every: bool = False

    @property
    def none(self) -> bool:
        """Whether no server is asked for."""
        return not (self.names or self.folders or self.every)


def chosen_servers(choice: ServerChoice) -> Mapping[str, Server]:
    """Return the named servers; without a name, those of the user's folders, or every one.

    Raise `UsageError` for an unknown name.
    """
    if choice.none:
        return {}
    known = known_servers(choice.folders)
    for name in choice.names:
        if name not in known:
            raise unknown("server", name, known)
    if choice.names:
        return {name: server for name, server in known.items() if name in choice.names}
    if choice.every:
        return known
    sources = {folder.absolute() for folder in choice.folders}
    return {
        name: one for name, one in known.items() if Path(one.source).absolute().parent in sources
    }


def known_scenarios(names: Sequence[str]) -> tuple[str, ...]:
    """Return the named scenarios, or all if none is named; `UsageError` for an unknown one."""
    from harness.scenarios import CATALOGUE  # 25 modules that `guests` does not need

    for name in names:
        if name not in CATALOGUE:
            raise unknown("scenario", name, CATALOGUE)
    return tuple(name for name in CATALOGUE if not names or name in names)
