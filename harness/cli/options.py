"""Options and arguments that several commands have, and their completion."""

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from harness.errors import FileError

EVERY = "*"
"""Stands for `--servers` without a folder; it is also the name of no folder."""

if TYPE_CHECKING:
    from harness.run.names import ServerChoice

Decorator = Callable[[Callable[..., object]], Callable[..., object]]

COLD = "Boot the guest even if one is up, or a warm one is kept, from an earlier command."


def complete_guests(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer guests, systems, `all` and `available`."""
    from harness.run.names import known_guests  # imports YAML: 20 ms, which --help does not need

    try:
        guests = known_guests(ctx.params.get("folders") or ())
    except FileError:
        return []  # `run` itself reports what is wrong with the file
    systems = {guest.system.lower() for guest in guests.values()}
    return _offered([*guests, *sorted(systems - set(guests)), "all", "available"], incomplete)


def complete_scenarios(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the scenarios of the catalogue."""
    from harness.run.names import known_scenarios

    return _offered(known_scenarios(()), incomplete)


def complete_servers(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the servers, also those of the user's folders."""
    from harness.run.names import known_servers

    named = ctx.params.get("server_folders") or ()
    try:
        return _offered([*known_servers([Path(one) for one in named if one != EVERY])], incomplete)
    except FileError:
        return []


def _offered(names: Sequence[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def forms() -> Decorator:
    """Return the options for the output format: `form` and `as_json`."""
    form = click.option(
        "--format",
        "form",
        type=click.Choice(["terminal", "markdown", "json"]),
        default="terminal",
        help="The output format.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
    return lambda command: form(as_json(command))


def only_scenarios(said: str) -> Decorator:
    """Return the option that names scenarios; `said` is its help text."""
    return click.option(
        "--scenario",
        "scenarios",
        multiple=True,
        metavar="ID",
        shell_complete=complete_scenarios,
        help=said,
    )


def server_folders() -> Decorator:
    """Return the option that adds folders of server files: `server_folders`."""
    return click.option(
        "--servers",
        "server_folders",
        multiple=True,
        is_flag=False,
        flag_value=EVERY,
        metavar="[DIR]",
        help="Ask about all servers, or those in this folder of yours (*.yaml).",
    )


def server_choice(names: Sequence[str], folders: Sequence[str]) -> "ServerChoice":
    """Return what the user says with `--server` and `--servers`."""
    from harness.run.names import ServerChoice

    given = tuple(Path(one) for one in folders if one != EVERY)
    return ServerChoice(tuple(names), given, EVERY in folders)


def only_servers() -> Decorator:
    """Return the option that names servers: `servers`."""
    return click.option(
        "--server",
        "servers",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_servers,
        help="Restart this server under load; may be given more than once.",
    )


def cluster_options() -> Decorator:
    """Return the options that name a cluster: `cluster` and `cluster_without_tls`."""
    address = click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Start the guests on the machines of this Dask cluster (tls://HOST:PORT).",
    )
    consent = click.option(
        "--cluster-without-tls",
        is_flag=True,
        help="Use tcp:// on a network that is yours alone: who reaches it can run programs.",
    )
    return lambda command: address(consent(command))


def strict() -> Decorator:
    """Return the option that makes an inconclusive cell a failure: `strict`."""
    return click.option(
        "--strict",
        is_flag=True,
        help="Exit 3 if a cell is inconclusive; otherwise that is no failure.",
    )


def at_once() -> Decorator:
    """Return the options about guests at the same time: `jobs` and `shards`."""
    jobs = click.option(
        "--jobs", type=click.IntRange(1, 256), metavar="N", help="Guests at the same time."
    )
    shards = click.option(
        "--shards",
        type=click.IntRange(1, 64),
        metavar="N",
        help="Split each guest's cells among N copies of it.",
    )
    return lambda command: jobs(shards(command))


def guest_folders() -> Decorator:
    """Return the option that adds folders of guest files."""
    return click.option(
        "--guests",
        "folders",
        multiple=True,
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="A folder with more guest files (*.yaml); may be given more than once.",
    )


def visit_options() -> Decorator:
    """Return the options of `shell` and `exec`: `provider`, `keep` and `cold`."""
    options = (
        click.option("--provider", metavar="P", help="Use only this provider to start the guest."),
        click.option("--keep", is_flag=True, help="Leave the guest up; `stop` ends it."),
        click.option("--cold", is_flag=True, help=COLD),
    )
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)
