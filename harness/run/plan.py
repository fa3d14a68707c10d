"""Decides what a run does, before anything is written or booted."""

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import Struct

from harness import scenarios
from harness.errors import NotRunError, UsageError
from harness.guests import select
from harness.machine.places import Places
from harness.machine.version import version
from harness.model import Cell, Depth, Guest, State
from harness.protocols import Provider
from harness.providers import Choices
from harness.providers.workshop import Workshop
from harness.run.names import known_guests, known_scenarios
from harness.store import RunBegun, console_of, judge_folder, lines_of
from harness.store.runs import PREFIX, fresh, runs

DEFAULT = ("available",)

COLLECTIVE = ("all", "available")
"""Names that do not require each guest to start: one that cannot is left out, without an error."""

SETTLED = (State.MEASURED, State.INCONCLUSIVE, State.NOT_APPLICABLE)
"""States that `--resume` does not ask again, because the guest answered."""


class Request(Struct, frozen=True):
    """The command line of `run`. An option that was not given is None."""

    names: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    depth: Depth | None = None
    folders: tuple[Path, ...] = ()
    out: Path | None = None
    provider: str | None = None
    keep: bool = False
    cold: bool = False
    resume: bool = False


class Candidate(Struct, frozen=True):
    """A requested guest and the provider that starts it (`by` is its name), or why none can."""

    guest: Guest
    provider: Provider | None
    cells: tuple[Cell, ...]
    by: str = ""
    why: str = ""
    hint: str | None = None


class Plan(Struct, frozen=True):
    """The run's folder, its first journal line, and the cells that each guest is asked.

    `named` maps each name that was given to its guests; of each such group at least one guest must
    be measured.
    """

    folder: Path
    begun: RunBegun
    candidates: tuple[Candidate, ...]
    named: Mapping[str, tuple[str, ...]]
    resumed: bool


def plan(request: Request, places: Places) -> Plan:
    """Plan a run; raise `UsageError` if a name or a folder does not exist."""
    folder = request.out or (_latest(Path()) if request.resume else fresh(Path(), time.localtime()))
    before = _before(folder) if request.resume else None
    # A resumed run keeps its depth, because the parameters of a cell depend on it.
    depth = _depth(request, before)
    cells = _cells(request, before, depth)
    guests = known_guests(request.folders)
    consoles = partial(console_of, folder)
    workshop = Workshop(places, consoles, request.keep, request.cold, folder)
    names = request.names or (tuple(before.guests) if before else DEFAULT)
    choices = Choices(workshop, request.provider)
    chosen = select(guests, names, choices.startable)
    done = _settled(folder) if request.resume else {}
    return Plan(
        folder,
        _begun(depth, chosen, cells),
        tuple(_candidate(guest, choices, _left(cells, guest, done)) for guest in chosen),
        # `available` is not among these names, so no provider is asked what it can start.
        {
            name: tuple(guest.name for guest in select(guests, [name], lambda _: True))
            for name in names
            if name not in COLLECTIVE
        },
        request.resume,
    )


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


def _cells(request: Request, before: RunBegun | None, depth: Depth) -> tuple[Cell, ...]:
    named = known_scenarios(request.scenarios)
    if before is not None and not request.scenarios:
        return before.cells
    return scenarios.cells(depth, named)


def _candidate(guest: Guest, choices: Choices, cells: tuple[Cell, ...]) -> Candidate:
    try:
        offer = choices.best(guest)
    except NotRunError as exc:
        return Candidate(guest, None, cells, why=str(exc), hint=exc.hint)
    return Candidate(guest, offer.provider, cells, offer.name)


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
