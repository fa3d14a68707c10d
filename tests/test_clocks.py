"""Every limit is more than what it holds."""

import ast
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness import clocks, guests, leases
from harness.clocks import Clocks
from harness.errors import UsageError
from harness.machine.resources import guests_folder
from harness.model import Depth
from harness.providers.host import ISOLATIONS
from harness.run.batches import Pace, Pending, batches
from harness.scenarios import CATALOGUE, cells
from harness.scenarios.scenario import Scenario

GUESTS = guests.load([guests_folder()])

HARNESS = Path(clocks.__file__).parent

FILES = sorted(path for path in HARNESS.rglob("*.py") if "_guests" not in path.parts)

MAKERS = ("Deadline", ".within", ".afresh", ".settimeout")
"""How the calls end that take a limit in seconds."""


@pytest.mark.parametrize("depth", Depth)
def test_a_question_ends_before_its_alarm_and_that_before_its_transport(depth: Depth) -> None:
    for cell in cells(depth):
        scenario = CATALOGUE[cell.scenario]
        clocks.check(scenario, scenario.parameters(cell, depth))
        for factor in (1.0, clocks.SLOW):
            limits = Clocks(factor)
            steps = (
                scenario.alarm * factor,
                limits.silence([scenario]),
                limits.batch([scenario], rounds=1),
            )
            assert list(steps) == sorted(set(steps))


@pytest.mark.parametrize("name", GUESTS)
def test_a_guests_own_boot_time_out_comes_before_the_harnesss(name: str) -> None:
    guest = GUESTS[name]
    if guest.qemu is not None:
        inner = guest.qemu.boot_timeout * clocks.SLOW
        assert clocks.PREPARE + inner < clocks.boot(guest)
    if guest.vagrant is not None:
        around = clocks.VAGRANT_UP + clocks.VAGRANT_LOGIN
        assert clocks.PREPARE + (guest.vagrant.boot_timeout + around) * clocks.SLOW < (
            clocks.boot(guest)
        )


def test_a_boot_has_time_for_what_a_provider_does_around_it() -> None:
    login = clocks.VAGRANT_UP + clocks.VAGRANT_LOGIN
    assert clocks.VAGRANT_START + login <= clocks.AROUND_BOOT
    assert clocks.VAGRANT_RESTORE + login + clocks.SAVE < clocks.AROUND_BOOT
    assert clocks.QEMU_RESTORE + clocks.SAVE + clocks.GO_ON < clocks.AROUND_BOOT
    assert len(ISOLATIONS) * clocks.ISOLATION < clocks.AROUND_BOOT
    assert clocks.BUILD < clocks.SLOW * clocks.COMPILE  # of the two a guest needs one


def constants(path: Path) -> Iterator[tuple[str, ast.expr, bool]]:
    """Yield a file's constants: name, value, and whether a text says what it is."""
    body = ast.parse(path.read_text()).body
    for node, after in pairwise([*body, ast.Pass()]):
        explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(node, ast.Assign):
            yield ast.unparse(node.targets[0]), node.value, explained


def is_seconds(name: str, value: ast.expr) -> bool:
    """Whether it is a number with a fraction: those are seconds, and a few are shares."""
    found = (part.value for part in ast.walk(value) if isinstance(part, ast.Constant))
    number = isinstance(value, ast.Constant | ast.BinOp | ast.UnaryOp)
    return "SECONDS" in name or (number and any(isinstance(one, float) for one in found))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_a_number_of_seconds_says_what_it_is_for(path: Path) -> None:
    bare = [name for name, value, told in constants(path) if is_seconds(name, value) and not told]
    assert bare == [], f"in {path.name}: to harness/clocks.py, or say beside it why it is here"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_a_deadline_is_made_of_a_limit_that_has_a_name(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(MAKERS):
            numbers = [one for one in node.args if isinstance(one, ast.Constant)]
            assert numbers == [], f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def everything(*, apart: bool = True) -> list[tuple[tuple[Scenario, ...], int]]:
    """Return the batches of a slow guest's full catalogue: their scenarios, and in what rounds."""
    todo, pace = [Pending(cell) for cell in cells(Depth.FULL)], Pace(slow=True)
    made = batches(todo, Depth.FULL, pace, apart=apart)
    return [(batch.scenarios, batch.rounds(pace)) for batch in made]


@pytest.mark.parametrize("apart", [False, True])
def test_a_guest_has_time_for_its_boot_its_agent_and_all_questions(apart: bool) -> None:
    guest, rounds = GUESTS["linux-6.1"], everything(apart=apart)
    slow = Clocks(clocks.SLOW)
    inner = clocks.boot(guest) + clocks.SLOW * (clocks.SETUP + clocks.COMPILE) + slow.facts
    inner += math.fsum(slow.batch(scenarios, count) for scenarios, count in rounds)
    assert inner < clocks.life(guest, everything())  # what the engine gives it


@pytest.mark.parametrize("name", GUESTS)
def test_a_run_gives_a_guest_up_before_its_lease_expires(name: str) -> None:
    assert clocks.life(GUESTS[name], everything()) < leases.LIFE.total_seconds()


def test_a_scenario_that_cannot_end_in_time_is_refused_at_the_start() -> None:
    scenario = CATALOGUE["takeover"]
    parameters = {"protocol": "tcp", "deadline": "7000"}
    clocks.check(scenario, parameters)
    with pytest.raises(UsageError, match="its flows may take 42 s, but its alarm comes after 40 s"):
        clocks.check(replace(scenario, alarm=40.0), parameters)
