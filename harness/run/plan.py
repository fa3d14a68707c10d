"""Decides what a run does, before anything is written or booted."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from harness import scenarios
from harness.errors import HarnessError, MachineLostError, NotRunError, UsageError
from harness.guests import select
from harness.machine.places import Places
from harness.machine.version import version
from harness.model import Cell, Depth, Guest
from harness.model.server import Server
from harness.providers.workshop import Workshop
from harness.run.earlier import Answered, Earlier, earlier, latest
from harness.run.hosts import allowed, expanded, with_rows
from harness.run.machines import Machine, Machines, Start, own_machine
from harness.run.names import (
    ServerChoice,
    chosen_servers,
    known_guests,
    known_scenarios,
    known_servers,
)
from harness.scenarios import restart
from harness.store import GuestMet, RunBegun, console_of
from harness.store.runs import fresh

DEFAULT = ("available",)

COLLECTIVE = ("all", "available")
"""Names that do not require each guest to start: one that cannot is left out, without an error."""


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
    shards: int | None = None


class Candidate(Struct, frozen=True):
    """A requested guest, its cells, and the machines that can start it, or why none can.

    `answered` is what it answered before this run was resumed. That counts only on the same
    machine, so `cells` has all its cells unless one machine answered them all. A guest that is
    split into shards has only its open cells, and `met` says what it was.
    """

    guest: Guest
    cells: tuple[Cell, ...]
    starts: tuple[Start, ...] = ()
    answered: Answered = field(default_factory=dict)
    met: GuestMet | None = None
    why: str = ""
    hint: str | None = None

    @property
    def home(self) -> str | None:
        """The machine that has most answers of the guest; None if none has any."""
        counts = {name: len(done) for name, done in self.answered.items() if done}
        return max(counts, key=lambda name: counts[name], default=None)


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
    folder = request.out or (latest(Path()) if request.resume else fresh(Path(), time.localtime()))
    done = earlier(folder) if request.resume else None
    before = None if done is None else done.begun
    # A resumed run keeps its depth, because the parameters of a cell depend on it.
    depth = _depth(request, before)
    servers = _servers(request, before)
    cells = _cells(request, before, depth, servers)
    shards = _shards(request, before)
    consoles = partial(console_of, folder)
    packages = tuple({name: None for one in servers.values() for name in one.packages})
    workshop = Workshop(places, consoles, request.keep, request.cold, folder, packages)
    names = request.names or (tuple(before.guests) if before else DEFAULT)
    machines = tuple(machines_of(workshop, request.provider))
    files = known_guests(request.folders)
    guests = with_rows(files, machines, names)

    def meant(names: Sequence[str], available: Callable[[Guest], bool]) -> tuple[Guest, ...]:
        return select(guests, expanded(names, files, machines), available)

    def startable(guest: Guest) -> bool:
        return any(one.startable(guest) for one in allowed(guest, machines))

    chosen = meant(names, startable)
    return Plan(
        folder,
        _begun(depth, chosen, cells, shards),
        tuple(_candidate(guest, machines, cells, done, sharded=shards > 1) for guest in chosen),
        # `available` is not among these names, so no provider is asked what it can start.
        {
            name: tuple(guest.name for guest in meant([name], lambda _: True))
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


def _depth(request: Request, before: RunBegun | None) -> Depth:
    if before is None:
        return request.depth or Depth.QUICK
    if request.depth not in (None, before.catalogue):
        message = f"the run used --{before.catalogue}, so it cannot resume with --{request.depth}"
        raise UsageError(message)
    return before.catalogue


def _shards(request: Request, before: RunBegun | None) -> int:
    """Return into how many copies guests are split; a resumed run keeps its number."""
    if request.keep and (request.shards or 1) > 1:
        raise UsageError("--keep keeps a guest, and --shards makes several of each; leave one out")
    if before is None:
        return request.shards or 1
    if request.shards not in (None, before.shards):
        message = f"the run used --shards {before.shards}, so it cannot resume with another number"
        raise UsageError(message)
    return before.shards


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


def _candidate(
    guest: Guest,
    machines: Sequence[Machine],
    cells: Sequence[Cell],
    before: Earlier | None,
    *,
    sharded: bool,
) -> Candidate:
    """Return a guest with the cells that are left, and the machines that may be asked."""
    asked = tuple(cell for cell in cells if cell.fits(guest.tunables))
    answered = {} if before is None else before.answered.get(guest.name, {})
    if sharded:  # all copies of a guest are the same, wherever they ran
        done = frozenset[str]().union(*answered.values())
        asked, answered = tuple(cell for cell in asked if cell.key not in done), {}
    if any(all(cell.key in done for cell in asked) for done in answered.values()):
        asked = ()
    starts, refusals = _starts(guest, allowed(guest, machines))
    if not starts:
        why = (
            "; ".join(map(str, refusals)) or f"no machine is called {guest.name.partition('@')[2]}"
        )
        return Candidate(guest, asked, why=why, hint=next((one.hint for one in refusals), None))
    met = before.met.get(guest.name) if before is not None and sharded else None
    return Candidate(guest, asked, starts, answered, met)


def _starts(
    guest: Guest, machines: Sequence[Machine]
) -> tuple[tuple[Start, ...], Sequence[HarnessError]]:
    """Return where a guest can be started, and the different reasons of the other machines."""
    starts, refusals = list[Start](), dict[str, HarnessError]()
    for machine in machines:
        try:
            starts.append(Start(machine, machine.best(guest)))
        except (NotRunError, MachineLostError) as exc:
            refusals.setdefault(str(exc), exc)
    return tuple(starts), tuple(refusals.values())


def _begun(depth: Depth, guests: Sequence[Guest], cells: tuple[Cell, ...], shards: int) -> RunBegun:
    now = datetime.now(UTC)
    return RunBegun(
        id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
        started=now.isoformat(timespec="seconds"),
        catalogue=depth,
        version=version(),
        guests={guest.name: guest.system for guest in guests},
        cells=cells,
        tunables={guest.name: guest.tunables for guest in guests},
        shards=shards,
    )
