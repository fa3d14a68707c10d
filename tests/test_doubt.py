"""Which verdicts contradict their neighbours, and are asked once more."""

from collections.abc import Mapping, Sequence

import pytest
from recorded_matrix import DATA
from simulated_kernels import Kernel
from test_scenarios import judged

from harness.judge import conclude
from harness.model import Cell, Judgement, State
from harness.run.doubt import LEAST, doubtful
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import parse

PLACES = (
    ("ipv4", "specific"),
    ("ipv4", "wildcard"),
    ("ipv6", "specific"),
    ("ipv6", "wildcard"),
    ("mapped", "wildcard"),
)


def group(verdicts: Sequence[str], scenario: str = "s", **axes: str) -> dict[Cell, Judgement]:
    """Return the verdicts at `PLACES`, in order; an empty one is inconclusive."""
    return {
        Cell.at(scenario, family=family, bind=bind, **axes): (
            Judgement(State.MEASURED, verdict)
            if verdict
            else Judgement(State.INCONCLUSIVE, why="unclear")
        )
        for (family, bind), verdict in zip(PLACES, verdicts, strict=True)
    }


def places(found: Mapping[Cell, Judgement]) -> list[tuple[str, str]]:
    """Return the places of the doubtful cells."""
    return [(cell.axes["family"], cell.axes["bind"]) for cell in doubtful(found)]


def test_one_verdict_against_its_neighbours_is_doubtful() -> None:
    assert places(group(["served", "served", "reset:5/100", "served", "served"])) == [PLACES[2]]


def test_a_count_is_no_contradiction() -> None:
    assert places(group([f"reset:{count}/100" for count in range(1, 6)])) == []


def test_a_whole_value_of_an_axis_is_not_doubtful() -> None:
    assert places(group(["newest", "one", "newest", "one", "one"])) == []
    assert places(group(["one", "one", "newest", "newest", "one"])) == []


def test_two_odd_ones_at_a_value_that_differ_are_doubtful() -> None:
    assert places(group(["newest", "one", "oldest", "one", "one"])) == [PLACES[0], PLACES[2]]


def test_what_returns_beside_other_neighbours_is_not_doubtful() -> None:
    mapped = ["one", "one", "one", "one", "newest"]
    assert places(group(mapped, failure="kill")) == [PLACES[4]]
    assert places(group(mapped, failure="kill") | group(mapped, failure="close")) == []
    assert len(places(group(mapped) | group(mapped, "other"))) == 2


def test_without_a_majority_nobody_is_doubtful() -> None:
    assert places(group(["one", "newest", "", "", ""])) == []
    assert places(group(["one", "newest", "newest", "one", ""])) == []
    assert places(group([""] * 5)) == []
    assert doubtful({}) == ()


@pytest.mark.parametrize(
    ("count", "why"), [(16, "16 flows are too few to tell how 4 listeners share them"), (400, None)]
)
def test_a_spread_of_too_few_flows_is_asked_again(count: int, why: str | None) -> None:
    seen = judged(Kernel(), "distribution", flows=str(count))
    cell, lossy = Cell.at("distribution", family="ipv4"), Cell.at("distribution", family="ipv6")
    found = {cell: seen, lossy: Judgement(State.INCONCLUSIVE, why="lossy: 3 of 9 were not served")}
    assert seen.why == why
    assert doubtful(found) == ((cell,) if why else ())


def test_a_drain_that_met_too_few_flows_is_asked_again() -> None:
    (reply,) = parse((DATA / "drain" / "too-few-flows.jsonl").read_bytes(), SCRIPTS)
    assert reply.observation is not None
    cell = Cell.at("drain", family="ipv4")
    assert doubtful({cell: conclude(CATALOGUE["drain"], reply.observation)}) == (cell,)


def test_no_more_than_a_share_of_a_guests_cells_is_doubtful() -> None:
    found = dict[Cell, Judgement]()
    for i in range(12):
        found |= group(["one", "one", "newest", "one", "one"], f"scenario-{i}")
    assert len(doubtful(found)) == 6
    odd = dict[Cell, Judgement]()
    for i in range(6):
        odd |= group(["one", "one", "newest", "one", "one"], f"scenario-{i}")
    assert len(doubtful(odd)) == LEAST
    assert doubtful(odd) == tuple(cell for cell in odd if odd[cell].verdict == "newest")[:LEAST]
