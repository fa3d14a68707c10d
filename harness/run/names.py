"""From the words on the command line to guests and scenarios, and their completion."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import FileError, UsageError
from harness.run.nearest import unknown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from harness.model import Guest

COLD = "Boot the guest, also where a warm one is kept from an earlier run."

Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def known_guests(folders: Sequence[Path]) -> "Mapping[str, Guest]":
    """Return the guests that come with us and those of the user's folders."""
    from harness.guests import load
    from harness.machine.resources import guests_folder

    return load([guests_folder(), *folders])


def known_guest(name: str, folders: Sequence[Path]) -> "Guest":
    """Return one guest, by its own name or by a system that has just this one."""
    from harness.guests import select

    found = select(known_guests(folders), [name], lambda _: True)
    if len(found) != 1:
        names = " ".join(guest.name for guest in found)
        raise UsageError(f"{name} is {len(found)} guests, name one", hint=names or None)
    return found[0]


def known_scenarios(names: Sequence[str]) -> tuple[str, ...]:
    """Return the scenarios that were named, all if none was; `UsageError` for an unknown one."""
    from harness.scenarios import CATALOGUE

    for name in names:
        if name not in CATALOGUE:
            raise unknown("scenario", name, CATALOGUE)
    return tuple(name for name in CATALOGUE if not names or name in names)


def complete_guests(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Offer guests, systems and the two collective names."""
    try:
        guests = known_guests(ctx.params.get("folders") or ())
    except FileError:
        return []  # the run itself will say what is wrong with the file
    systems = {guest.system.lower() for guest in guests.values()}
    return _offered([*guests, *sorted(systems - set(guests)), "all", "available"], incomplete)


def complete_scenarios(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Offer the catalogue."""
    from harness.scenarios import CATALOGUE

    return _offered(list(CATALOGUE), incomplete)


def _offered(names: Sequence[str], incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def forms() -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Return the options that say how a command writes what it found: `form` and `as_json`."""
    form = click.option(
        "--format",
        "form",
        type=click.Choice(["terminal", "markdown", "json"]),
        default="terminal",
        help="What to write.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
    return lambda command: form(as_json(command))


def only_scenarios(said: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Return the option that names scenarios, as help says it."""
    return click.option(
        "--scenario",
        "scenarios",
        multiple=True,
        metavar="ID",
        shell_complete=complete_scenarios,
        help=said,
    )


def guest_folders() -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Return the option that adds folders of guest files."""
    return click.option(
        "--guests",
        "folders",
        multiple=True,
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="A folder of guest files (*.yaml) besides ours; may be given more than once.",
    )
