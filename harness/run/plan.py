"""Decides what a run does, before anything is written or booted."""

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from harness import scenarios
from harness.errors import NotRunError, UsageError
from harness.guests import select
from harness.machine.places import Places
from harness.machine.version import version
from harness.model import Cell, Depth, Guest, State
from harness.model.server import Server
from harness.providers.workshop import Workshop
from harness.run.machines import Machine, Machines, Start, own_machine
from harness.run.names import (
    ServerChoice,
    chosen_servers,
    known_guests,
    known_scenarios,
    known_servers,
)
from harness.scenarios import restart
from harness.store import RunBegun, console_of, judge_folder, lines_of
from harness.store.runs import PREFIX, fresh, runs

DEFAULT = ("available",)

COLLECTIVE = ("all", "available")
"""Names that do not require each guest to start: one that cannot is left out, without an error."""

SETTLED = (State.MEASURED, State.INCONCLUSIVE, State.NOT_APPLICABLE)
"""States that `--resume` does not ask again, because the guest answered."""


class Request(Struct, frozen=True):
    """The command line of `run`. An option that was not given is None.

    With `servers`, only servers are asked, unless `scenarios` names more.
    """

    names: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    servers: ServerChoice = ServerChoice()
    depth: Depth | None = None
    folders: tuple[Path, ...] = ()
    out: Path | None = None
    provider: str | None = None
    keep: bool = False
    cold: bool = False
    resume: bool = False


class Candidate(Struct, frozen=True):
    """A requested guest and the machines that can start it, or why none can."""

    guest: Guest
    cells: tuple[Cell, ...]
    starts: tuple[Start, ...] = ()
    why: str = ""
    hint: str | None = None


class Plan(Struct, frozen=True):
    """The run's folder, its first journal line, and the cells that each guest is asked.

    `named` maps each name that was given to its guests; of each such group at least one guest must
    be measured. `machines` are those that may start guests: this one, or those of a cluster.
    `servers` are those that the cells are about, by name.
    """

    folder: Path
    begun: RunBegun
    candidates: tuple[Candidate, ...]
    named: Mapping[str, tuple[str, ...]]
    resumed: bool
    machines: tuple[Machine, ...]
    servers: Mapping[str, Server] = field(default_factory=dict)


def plan(request: Request, places: Places, machines_of: Machines = own_machine) -> Plan:
    """Plan a run; raise `UsageError` if a name or a folder does not exist.

    `machines_of` returns the machines that may start guests.
    """
    folder = request.out or (_latest(Path()) if request.resume else fresh(Path(), time.localtime()))
    before = _before(folder) if request.resume else None
    # A resumed run keeps its depth, because the parameters of a cell depend on it.
    depth = _depth(request, before)
    servers = _servers(request, before)
    cells = _cells(request, before, depth, servers)
    guests = known_guests(request.folders)
    consoles = partial(console_of, folder)
    packages = tuple({name: None for one in servers.values() for name in one.packages})
    workshop = Workshop(places, consoles, request.keep, request.cold, folder, packages)
    names = request.names or (tuple(before.guests) if before else DEFAULT)
    machines = tuple(machines_of(workshop, request.provider))
    chosen = select(guests, names, lambda guest: any(one.startable(guest) for one in machines))
    done = _settled(folder) if request.resume else {}
    return Plan(
        folder,
        _begun(depth, chosen, cells),
        tuple(_candidate(guest, machines, _left(cells, guest, done)) for guest in chosen),
        # `available` is not among these names, so no provider is asked what it can start.
        {
            name: tuple(guest.name for guest in select(guests, [name], lambda _: True))
            for name in names
            if name not in COLLECTIVE
        },
        request.resume,
        machines,
        servers,
    )


def _servers(request: Request, before: RunBegun | None) -> Mapping[str, Server]:
    """Return the servers that the cells are about; a resumed run keeps its own."""
    if before is None or request.scenarios:
        return chosen_servers(request.servers)
    asked = {cell.axes.get("server") for cell in before.cells} - {None}
    if not asked:
        return {}
    known = known_servers(request.servers.folders)
    gone = sorted(name for name in asked if name is not None and name not in known)
    if gone:
        hint = "name the folder of its file with --servers DIR"
        raise UsageError(f"the run asks about the server {gone[0]}, which is unknown", hint=hint)
    return {name: server for name, server in known.items() if name in asked}


def _latest(parent: Path) -> Path:
    folders = runs(parent, "journal.jsonl")
    if not folders:
        message = "this folder holds no run to resume"
        hint = f"name the run's folder with --out; without it, {PREFIX}* is searched here"
        raise UsageError(message, hint=hint)
    return folders[-1]


def _before(folder: Path) -> RunBegun:
    """Return the first valid line of a run in the journal of the run to resume."""
    return next(line for line in lines_of(folder) if isinstance(line, RunBegun))


def _depth(request: Request, before: RunBegun | None) -> Depth:
    if before is None:
        return request.depth or Depth.QUICK
    if request.depth not in (None, before.catalogue):
        message = f"the run used --{before.catalogue}, so it cannot resume with --{request.depth}"
        raise UsageError(message)
    return before.catalogue


def _cells(
    request: Request, before: RunBegun | None, depth: Depth, servers: Mapping[str, Server]
) -> tuple[Cell, ...]:
    named = known_scenarios(request.scenarios)
    if before is not None and not request.scenarios:
        return before.cells
    if servers and not request.scenarios:
        named = ()
    if restart.ID in request.scenarios and not servers:
        hint = "name one with --server NAME, or ask all with --servers"
        raise UsageError(f"`{restart.ID}` is about servers, and none is named", hint=hint)
    return (*scenarios.cells(depth, named), *restart.cells_of(servers.values(), depth))


def _candidate(guest: Guest, machines: Sequence[Machine], cells: tuple[Cell, ...]) -> Candidate:
    starts, refusals = list[Start](), dict[str, NotRunError]()
    for machine in machines:
        try:
            starts.append(Start(machine, machine.best(guest)))
        except NotRunError as exc:
            refusals.setdefault(str(exc), exc)
    if starts:
        return Candidate(guest, cells, tuple(starts))
    hint = next((exc.hint for exc in refusals.values()), None)
    return Candidate(guest, cells, why="; ".join(refusals), hint=hint)


def _settled(folder: Path) -> dict[str, set[str]]:
    """Return the keys of the cells that each guest has answered."""
    found: dict[str, set[str]] = {}
    for cell in judge_folder(folder).cells:
        if cell.state in SETTLED:
            found.setdefault(cell.guest, set()).add(cell.cell.key)
    return found


def _left(cells: Sequence[Cell], guest: Guest, done: Mapping[str, set[str]]) -> tuple[Cell, ...]:
    """Return the cells that a guest can be asked and has not answered yet."""
    answered = done.get(guest.name, set())
    return tuple(one for one in cells if one.fits(guest.tunables) and one.key not in answered)


def _begun(depth: Depth, guests: Sequence[Guest], cells: tuple[Cell, ...]) -> RunBegun:
    now = datetime.now(UTC)
    return RunBegun(
        id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
        started=now.isoformat(timespec="seconds"),
        catalogue=depth,
        version=version(),
        guests={guest.name: guest.system for guest in guests},
        cells=cells,
        tunables={guest.name: guest.tunables for guest in guests},
    )
