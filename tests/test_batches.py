"""What one command asks: everything once, what waits beside what works, and not too much."""

import pytest

from harness.model import Depth
from harness.run.batches import FLOWS, ROUNDS, WORKING, Batch, Pace, Pending, batches
from harness.scenarios import CATALOGUE, cells
from harness.scenarios.scenario import FULL, LEAST


def loads(batch: Batch, pace: Pace) -> list[int]:
    return [pace.load(asking.scenario) for asking in batch.askings]


@pytest.mark.parametrize("depth", Depth)
@pytest.mark.parametrize("pace", [Pace(), Pace(slow=True)])
@pytest.mark.parametrize("apart", [False, True])
def test_every_cell_is_in_one_batch_that_is_not_too_large(
    depth: Depth, pace: Pace, apart: bool
) -> None:
    todo = [Pending(cell) for cell in cells(depth)]
    made = list(batches(todo, depth, pace, apart=apart))
    asked = [asking for batch in made for asking in batch.askings]
    assert len(asked) == len(todo)
    assert set(asked) == set(todo)
    for batch in made:
        assert len({asking.cell.setting for asking in batch.askings}) == 1
        assert not apart or len(batch.scenarios) == 1
        working = [asking for asking in batch.askings if pace.load(asking.scenario)]
        assert len(working) <= pace.working <= WORKING
        assert len(batch.askings) - len(working) <= ROUNDS * pace.jobs
        flows = [int(one.scenario.parameters(one.cell, depth)["flows"]) for one in working]
        assert len(flows) <= 1 or sum(flows) <= pace.flows <= FLOWS


def test_what_works_is_asked_while_others_wait() -> None:
    """On a fast machine that is all of the quick catalogue but for what is about time."""
    pace = Pace()
    made = batches([Pending(cell) for cell in cells(Depth.QUICK)], Depth.QUICK, pace)
    first, *others = [batch for batch in made if batch.askings[0].cell.setting is None]
    assert {"failure-hung", "distribution"} <= {scenario.id for scenario in first.scenarios}
    assert {scenario.id for batch in others for scenario in batch.scenarios} == {"failure-arrivals"}
    assert first.title.startswith("failure-established and ")


def test_what_is_about_time_meets_no_others() -> None:
    todo = [Pending(cell) for cell in cells(Depth.QUICK)]
    for pace in (Pace(), Pace(slow=True)):
        made = batches(todo, Depth.QUICK, pace)
        found = [batch for batch in made if CATALOGUE["failure-arrivals"] in batch.scenarios]
        assert [batch.title for batch in found] == ["failure-arrivals"]


def test_what_is_asked_again_has_a_batch_of_its_own() -> None:
    one, *more = (Pending(cell) for cell in cells(Depth.QUICK, ["sharing"]))
    again = Pending(one.cell, 2)
    found = list(batches([*more, again], Depth.QUICK, Pace(), apart=False))
    assert [batch.askings for batch in found] == [tuple(more), (again,)]


def test_no_load_is_one_that_the_agent_refuses() -> None:
    """0, or `LEAST` to `FULL` (guests/agent/question.h)."""
    for scenario in CATALOGUE.values():
        for pace in (Pace(), Pace(slow=True)):
            assert pace.load(scenario) == 0 or LEAST <= pace.load(scenario) <= FULL


def test_rounds_are_of_what_waits_and_of_what_works() -> None:
    hung = [Pending(cell) for cell in cells(Depth.QUICK, ["failure-hung"])]
    shared = [Pending(cell) for cell in cells(Depth.QUICK, ["sharing"])]
    arrivals = [Pending(cell) for cell in cells(Depth.QUICK, ["failure-arrivals"])]
    batch = Batch((*hung, *shared, *arrivals))
    assert (len(hung), len(shared), len(arrivals)) == (5, 12, 5)
    assert batch.rounds(Pace()) == 1 + 14
    assert batch.rounds(Pace(slow=True)) == 2 + 15
