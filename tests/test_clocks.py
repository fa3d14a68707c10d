"""Every limit is more than what it holds."""

import math

import pytest
from msgspec.structs import replace

from harness import clocks, guests, leases
from harness.clocks import Clocks
from harness.errors import UsageError
from harness.machine.resources import guests_folder
from harness.model import Depth
from harness.providers.vagrant.machine import CONNECT_SECONDS, MARGIN_SECONDS
from harness.run.batches import Asking, Pace, batches
from harness.scenarios import CATALOGUE, cells
from harness.scenarios.scenario import Scenario

GUESTS = guests.load([guests_folder()])


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
        around = MARGIN_SECONDS + CONNECT_SECONDS
        assert clocks.PREPARE + (guest.vagrant.boot_timeout + around) * clocks.SLOW < (
            clocks.boot(guest)
        )


def everything(*, apart: bool = True) -> list[tuple[tuple[Scenario, ...], int]]:
    """Return the batches of a slow guest's full catalogue: their scenarios, and in what rounds."""
    todo, pace = [Asking(cell) for cell in cells(Depth.FULL)], Pace(slow=True)
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
    with pytest.raises(UsageError, match="its flows may take 42 s, its alarm comes after 40 s"):
        clocks.check(replace(scenario, alarm=40.0), parameters)
