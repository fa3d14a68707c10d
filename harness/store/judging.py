"""Makes the matrix of a run's folder: judges all recorded answers again, without any guest."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from harness.errors import Phase
from harness.judge import judge
from harness.matrix import Facts, Matrix, Run
from harness.model import Cell, Judgement, State, Trial
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.store.folder import lines_of, reply_of
from harness.store.journal import Asked, GuestMet, GuestMissed, Line, RunBegun
from harness.wire.replies import parse

NEVER_ASKED = "the run ended before it was asked"


def judge_folder(folder: Path) -> Matrix:
    """Judge a run's recordings. The same folder always gives the same matrix. Raise `FileError`."""
    lines = lines_of(folder)
    begun = tuple(line for line in lines if isinstance(line, RunBegun))
    trials = {(trial.guest, trial.cell): trial for trial in _trials(folder, lines)}
    missed = {line.guest: line for line in lines if isinstance(line, GuestMissed)}
    systems = {guest: system for run in begun for guest, system in run.guests.items()}
    cells = tuple(dict.fromkeys(cell for run in begun for cell in run.cells))
    tunables = {guest: names for run in begun for guest, names in run.tunables.items()}
    every = [
        trials.get((guest, cell)) or _not_run(guest, cell, missed.get(guest))
        for guest in systems
        for cell in cells
        if cell.fits(tunables.get(guest, ()))
    ]
    first = begun[0]
    run = Run(first.id, first.started, first.catalogue)
    return Matrix.of(run, _guests(systems, lines), every)


def judged(asked: Asked, raw: bytes) -> Judgement:
    """Judge one question by its journal line and the bytes that answered it."""
    if asked.failure is not None:
        return Judgement(State.INFRASTRUCTURE, why=asked.failure.sentence)
    scenario = CATALOGUE.get(asked.cell.scenario)
    if scenario is None:
        why = f"{asked.cell.scenario} is no scenario of this version"
        return Judgement(State.NOT_RUN, why=why)
    replies = parse(raw, SCRIPTS)
    if len(replies) != 1:
        why = f"{Phase.SCENARIO}: {len(replies)} answers where one was kept"
        return Judgement(State.INFRASTRUCTURE, why=why)
    judgement = judge(scenario, replies[0], asked)
    if judgement.state is not State.INFRASTRUCTURE:
        return judgement
    return replace(judgement, why=f"{Phase.SCENARIO}: {judgement.why}")


def _trials(folder: Path, lines: Sequence[Line]) -> list[Trial]:
    """Judge all questions and group them by guest and cell, in order.

    Only one reply is in memory at a time.
    """
    by_guest: dict[str, dict[Cell, list[Asked]]] = {}
    for line in lines:
        if isinstance(line, Asked):
            by_guest.setdefault(line.guest, {}).setdefault(line.cell, []).append(line)
    trials = []
    for guest, cells in by_guest.items():
        for cell, askings in cells.items():
            repeats = tuple(judged(one, reply_of(folder, one)) for one in askings)
            seconds = round(sum(one.seconds for one in askings), 3)
            trials.append(Trial(guest, cell, repeats, askings[0].started, seconds))
    return trials


def _not_run(guest: str, cell: Cell, missed: GuestMissed | None) -> Trial:
    why = missed.why if missed is not None else NEVER_ASKED
    return Trial(guest, cell, (Judgement(State.NOT_RUN, why=why),), "", 0.0)


def _guests(systems: Mapping[str, str], lines: Sequence[Line]) -> dict[str, Facts]:
    """Return the facts of each guest; if it was booted several times, those of the last boot."""
    met = {line.guest: line for line in lines if isinstance(line, GuestMet)}
    return {guest: _facts(system, met.get(guest)) for guest, system in systems.items()}


def _facts(system: str, met: GuestMet | None) -> Facts:
    """Return a guest's facts. The system is from `uname` if it came up, else from its file."""
    if met is None:
        return {"system": system, "release": None, "provider": None, "accelerator": None}
    made = dict(met.provenance)
    return {
        "system": met.facts.get("sysname", system),
        "release": met.facts.get("release"),
        "provider": made.pop("provider", None),
        "accelerator": made.pop("accelerator", None),
        "provenance": made,
        "facts": dict(met.facts),
    }
