"""What a run that is resumed has asked and answered already."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from harness.errors import UsageError
from harness.model import State
from harness.store import GuestMet, RunBegun, judge_folder, lines_of
from harness.store.rows import rows_of
from harness.store.runs import PREFIX, runs

SETTLED = (State.MEASURED, State.INCONCLUSIVE, State.NOT_APPLICABLE)
"""States that `--resume` does not ask again, because the guest answered."""

Answered = Mapping[str, frozenset[str]]
"""The keys of the cells that a guest has answered, by the machine it was on."""


class Earlier(Struct, frozen=True):
    """The first line of the run, the answers of each guest, and what each was when it came up."""

    begun: RunBegun
    answered: Mapping[str, Answered]
    met: Mapping[str, GuestMet]


def latest(parent: Path) -> Path:
    """Return the folder of the newest run here; raise `UsageError` if there is none."""
    folders = runs(parent, "journal.jsonl")
    if not folders:
        message = "this folder holds no run to resume"
        hint = f"name the run's folder with --out; without it, {PREFIX}* is searched here"
        raise UsageError(message, hint=hint)
    return folders[-1]


def earlier(folder: Path) -> Earlier:
    """Read the run to resume; raise `FileError` if the folder holds none."""
    lines = lines_of(folder)
    settled: dict[str, set[str]] = {}
    for cell in judge_folder(folder).cells:
        if cell.state in SETTLED:
            settled.setdefault(cell.guest, set()).add(cell.cell.key)
    answered: dict[str, dict[str, frozenset[str]]] = {}
    for (guest, machine), row in rows_of(lines).items():
        answered.setdefault(guest, {})[machine] = frozenset(settled.get(row, ()))
    begun = next(line for line in lines if isinstance(line, RunBegun))
    met = {line.guest: line for line in lines if isinstance(line, GuestMet)}
    return Earlier(begun, answered, met)
