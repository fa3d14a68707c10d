"""Makes the matrix of a run's folder: judges all recorded answers again, without any guest."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from harness.errors import FileError, Phase
from harness.judge import judge
from harness.matrix import Facts, Matrix, Run
from harness.matrix.systems import system_of
from harness.model import Cell, Judgement, State, Trial
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.store.folder import JOURNAL, reply_of
from harness.store.journal import Asked, Fault, GuestMet, GuestMissed, Line, read
from harness.wire.replies import parse

logger = logging.getLogger(__name__)

NEVER_ASKED = "the run ended before it was asked"

LOST = "line {} of the journal is damaged, and may have held this answer"

TOLD = 5
"""The most damaged lines that are named, one by one."""


def judge_folder(folder: Path) -> Matrix:
    """Judge a run's recordings. The same folder always gives the same matrix. Raise `FileError`.

    What is damaged costs only the cells that it belongs to; these say why.
    """
    journal = read(folder / JOURNAL)
    lines, begun = journal.lines, journal.begun
    systems = {guest: system for run in begun for guest, system in run.guests.items()}
    _tell(folder / JOURNAL, journal.faults, lines, systems)
    own = [line for line in lines if isinstance(line, Asked) and line.guest in systems]
    trials = {(trial.guest, trial.cell): trial for trial in _trials(folder, own)}
    missed = {line.guest: line.why for line in lines if isinstance(line, GuestMissed)}
    reasons = {guest: missed.get(guest, _lost(guest, journal.faults)) for guest in systems}
    cells = tuple(dict.fromkeys(cell for run in begun for cell in run.cells))
    tunables = {guest: names for run in begun for guest, names in run.tunables.items()}
    every = [
        trials.get((guest, cell)) or _not_run(guest, cell, reasons[guest])
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


def _tell(
    path: Path, faults: Sequence[Fault], lines: Sequence[Line], known: Mapping[str, str]
) -> None:
    """Warn about damaged lines, and about lines of guests that the run does not have."""
    for fault in faults[:TOLD]:
        logger.warning("%s:%d: left out: %s", path, fault.number, fault.why)
    if len(faults) > TOLD:
        logger.warning("%s: left out: %d more damaged lines", path, len(faults) - TOLD)
    named = (line.guest for line in lines if isinstance(line, Asked | GuestMet | GuestMissed))
    strangers = [guest for guest in dict.fromkeys(named) if guest not in known]
    for guest in strangers[:TOLD]:
        logger.warning("%s: left out: the lines of %r, which is no guest of the run", path, guest)


def _lost(guest: str, faults: Sequence[Fault]) -> str:
    """Return why a guest lacks answers: a damaged line may have held them, or it was not asked."""
    number = next((one.number for one in faults if one.guest in (None, guest)), None)
    return NEVER_ASKED if number is None else LOST.format(number)


def _trials(folder: Path, lines: Sequence[Asked]) -> list[Trial]:
    """Judge all questions and group them by guest and cell, in order.

    Only one reply is in memory at a time.
    """
    by_guest: dict[str, dict[Cell, list[Asked]]] = {}
    for line in lines:
        by_guest.setdefault(line.guest, {}).setdefault(line.cell, []).append(line)
    trials = []
    for guest, cells in by_guest.items():
        damage: list[FileError] = []
        for cell, askings in cells.items():
            repeats = tuple(_kept(folder, one, damage) for one in askings)
            seconds = round(sum(one.seconds for one in askings), 3)
            trials.append(Trial(guest, cell, repeats, askings[0].started, seconds))
        if damage:
            logger.warning("%d answers of %s are lost: %s", len(damage), guest, damage[0])
    return trials


def _kept(folder: Path, asked: Asked, damage: list[FileError]) -> Judgement:
    """Judge one question from the folder; an answer that cannot be read is added to `damage`."""
    try:
        raw = reply_of(folder, asked)
    except FileError as exc:
        damage.append(exc)
        why = f"{Phase.SCENARIO}: the recorded answer is damaged or missing"
        return Judgement(State.INFRASTRUCTURE, why=why)
    return judged(asked, raw)


def _not_run(guest: str, cell: Cell, why: str) -> Trial:
    return Trial(guest, cell, (Judgement(State.NOT_RUN, why=why),), "", 0.0)


def _guests(systems: Mapping[str, str], lines: Sequence[Line]) -> dict[str, Facts]:
    """Return the facts of each guest; if it was booted several times, those of the last boot."""
    met = {line.guest: line for line in lines if isinstance(line, GuestMet)}
    return {guest: _facts(system, met.get(guest)) for guest, system in systems.items()}


def _facts(system: str, met: GuestMet | None) -> Facts:
    """Return a guest's facts. If it did not come up, only the system in its file is known."""
    if met is None:
        return {"system": system, "release": None, "provider": None, "accelerator": None}
    made = dict(met.provenance)
    known, release = system_of(system, met.facts, made)
    return {
        "system": known,
        "release": release,
        "provider": made.pop("provider", None),
        "accelerator": made.pop("accelerator", None),
        "provenance": made,
        "facts": dict(met.facts),
    }
