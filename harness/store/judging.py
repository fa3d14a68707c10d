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
from harness.store.rows import HERE, Place, rows_of
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
    rows = {at: row for at, row in rows_of(lines).items() if at[0] in systems}
    own = [line for line in lines if isinstance(line, Asked) and (line.guest, line.machine) in rows]
    trials = {(trial.guest, trial.cell): trial for trial in _trials(folder, own, rows)}
    missed = {line.guest: line.why for line in lines if isinstance(line, GuestMissed)}
    reasons = {guest: missed.get(guest, _lost(guest, journal.faults)) for guest in systems}
    cells = tuple(dict.fromkeys(cell for run in begun for cell in run.cells))
    tunables = {guest: names for run in begun for guest, names in run.tunables.items()}
    facts = _guests(systems, rows, lines)
    found = [
        # The row of a further machine has only what was answered there.
        trials.get((row, cell)) or (_not_run(row, cell, reasons[row]) if row in systems else None)
        for row in facts
        for cell in cells
        if row not in systems or cell.fits(tunables.get(row, ()))
    ]
    first = begun[0]
    run = Run(first.id, first.started, first.catalogue)
    return Matrix.of(run, facts, [trial for trial in found if trial is not None])


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


def _trials(folder: Path, lines: Sequence[Asked], rows: Mapping[Place, str]) -> list[Trial]:
    """Judge all questions and group them by row and cell, in order.

    Only one reply is in memory at a time.
    """
    by_row: dict[str, dict[Cell, list[Asked]]] = {}
    for line in lines:
        row = rows[line.guest, line.machine]
        by_row.setdefault(row, {}).setdefault(line.cell, []).append(line)
    trials = []
    for guest, cells in by_row.items():
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


def _guests(
    systems: Mapping[str, str], rows: Mapping[Place, str], lines: Sequence[Line]
) -> dict[str, Facts]:
    """Return the facts of each row; if it was booted several times, those of the last boot."""
    met: dict[str, GuestMet] = {}
    machines: dict[str, set[str]] = {}
    for line in lines:
        row = rows.get((line.guest, line.machine)) if isinstance(line, GuestMet) else None
        if isinstance(line, GuestMet) and row is not None:
            met[row] = line
            machines.setdefault(row, set()).add(line.machine)
    for row, names in machines.items():
        if len(names) > 1:  # the copies of a guest that is split into shards
            where = {"machine": ", ".join(sorted(name or HERE for name in names))}
            met[row] = replace(met[row], provenance={**met[row].provenance, **where})
    found = dict[str, Facts]()
    for guest, system in systems.items():
        own = dict.fromkeys((guest, *(row for (name, _), row in rows.items() if name == guest)))
        found |= {row: _facts(system, met.get(row)) for row in own}
    return found


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
