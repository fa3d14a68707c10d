"""The recordings of real kernels in `tests/data`, judged and gathered into one matrix."""

from pathlib import Path

from harness.judge import conclude
from harness.matrix import Matrix, Run
from harness.model import Cell, Depth, Judgement, Trial
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.scenarios.scenario import Scenario
from harness.wire.observation import Observation
from harness.wire.replies import parse

DATA = Path(__file__).parent / "data"

GUEST = "recorded"

ELSEWHERE = ("freebsd", "dragonfly", "netbsd", "gvisor", "linux-3.", "linux-4.")
"""Other kernels of which there are recordings, too; a matrix has one guest."""

DEFAULTS = {
    "option": "reuseport",
    "protocol": "tcp",
    "family": "ipv4",
    "bind": "specific",
    "failure": "close",
    "member": "middle",
    "order": "newest",
    "change": "leave",
    "position": "last",
    "joining": "together",
    "pair": "address",
    "case": "both",
    "peer": "sockets",
    "ack": "at-once",
    "source": "many-ports",
    "delivery": "unicast",
    "user": "same",
    "connecting": "after",
    "second": "",
    "tunables": "",
    "holder": "child",
    "program": "cbpf",
    "then": "nothing",
}
"""The agent's defaults (docs/wire.md, "Asking")."""


def observations(scenario: str) -> list[Observation]:
    """Return what was said of a scenario on a Linux kernel, file by file.

    `invented-*` is of no kernel, and a file of another kernel bears that one's name.
    """
    files = [
        path
        for path in sorted((DATA / scenario).glob("*.jsonl"))
        if not path.name.startswith("invented") and not any(one in path.name for one in ELSEWHERE)
    ]
    replies = [parse(path.read_bytes(), SCRIPTS) for path in files]
    seen = (reply.observation for found in replies for reply in found)
    # An order was confirmed only on kernels that have one: no answer of Linux is among those.
    # `intrusion` always confirms.
    kept = [one for one in seen if one is not None]
    return [one for one in kept if scenario == "intrusion" or "confirm" not in one.parameters]


def whole(scenario: Scenario, cell: Cell) -> dict[str, str]:
    """Return a cell's parameters, with the defaults for axes but without the numbers."""
    plain = {axis: DEFAULTS[axis] for axis in ("peer", "tunables", "second")}
    asked = {**plain, **scenario.parameters(cell, Depth.FULL)}
    return {name: value for name, value in asked.items() if name in DEFAULTS}


def recorded() -> Matrix:
    """Return the matrix of all recordings of catalogue cells; several of one cell are repeats."""
    known = observations("facts")[0].facts
    repeats: dict[Cell, list[Judgement]] = {}
    for name, scenario in CATALOGUE.items():
        cells = scenario.cells(Depth.FULL)
        for seen in observations(name):
            asked = {**DEFAULTS, **seen.parameters}
            for cell in cells:
                if all(asked[axis] == value for axis, value in whole(scenario, cell).items()):
                    repeats.setdefault(cell, []).append(conclude(scenario, seen))
    trials = [Trial(GUEST, cell, tuple(found), "t", 0.0) for cell, found in repeats.items()]
    facts = {"system": known["sysname"], "release": known["release"]}
    return Matrix.of(Run("recorded", "t", Depth.FULL), {GUEST: facts}, trials)
