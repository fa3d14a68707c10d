"""If the kernel refuses something, an answer is complete at exactly that point."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from simulated_agent import SIMULATED

from harness.model import Depth
from harness.scenarios import CATALOGUE, SCRIPTS, cells
from harness.wire.observation import Attempt, Begin, Change, Member, Observation
from harness.wire.script import Script

SEEN = Observation(Begin(1, "q", "s", "0123456789abcdef", {}))

STREAM = ("before", "during", "after", "alive", "retired", "alive-retired")


def refused(index: int) -> Observation:
    return replace(SEEN, members=(Member(index, None, None, "bind", "EADDRINUSE"),))


def failed(what: str) -> Observation:
    return replace(SEEN, attempts=(Attempt(what, "bind", "EADDRINUSE"),))


def script(scenario: str, **asked: str) -> Script:
    return SCRIPTS[scenario](asked)


def length(found: Script) -> tuple[int, ...]:
    """Return the number of phases, members, changes and attempts."""
    return len(found.phases), len(found.members), found.changes, len(found.attempts)


@pytest.mark.parametrize(
    ("scenario", "asked", "seen", "expected"),
    [
        ("takeover", {}, SEEN, (6, 2, 2, 0)),
        ("takeover", {"protocol": "udp"}, SEEN, (4, 2, 2, 0)),
        ("takeover", {}, refused(0), (0, 1, 0, 0)),
        ("takeover", {}, refused(1), (1, 2, 0, 0)),
        ("takeover", {}, refused(2), (0, 0, 0, 0)),  # no member of it
        ("failure-flows", {"change": "restart"}, SEEN, (4, 5, 2, 0)),
        ("failure-flows", {"change": "restart"}, refused(4), (3, 5, 1, 0)),
        ("failure-flows", {"change": "join"}, refused(4), (2, 5, 0, 0)),
        ("failure-flows", {"change": "join"}, refused(2), (0, 3, 0, 0)),
        ("precedence", {}, refused(0), (0, 3, 0, 0)),  # its side binds second
        ("precedence", {"position": "first"}, refused(0), (0, 1, 0, 0)),
        ("bound-only", {"position": "first"}, refused(4), (0, 1, 0, 0)),
        ("sharing", {}, SEEN, (1, 0, 0, 2)),
        ("sharing", {}, failed("first"), (0, 0, 0, 1)),
        ("sharing", {}, failed("second"), (0, 0, 0, 2)),
        ("sharing", {"case": "time-wait"}, SEEN, (0, 0, 0, 2)),
        ("last-gone", {}, failed("rebind-none"), (3, 1, 1, 2)),  # goes on
        ("fallback", {"listeners": "64"}, SEEN, (64, 64, 63, 0)),
        ("facts", {}, SEEN, (0, 0, 0, 0)),
    ],
)
def test_an_answer_goes_as_far_as_the_kernel_let_it(
    scenario: str, asked: Mapping[str, str], seen: Observation, expected: tuple[int, ...]
) -> None:
    assert length(script(scenario, **asked).as_far_as(seen)) == expected


def test_the_first_change_that_fails_ends_those_of_a_drain_and_of_nothing_else() -> None:
    changes = (Change("close", 0, 1, None), Change("back", 0, 2, "EADDRINUSE"))
    seen = replace(SEEN, changes=changes)
    drained = script("drain", rounds="24")
    assert (drained.changes, drained.as_far_as(seen).changes) == (48, 2)
    assert drained.as_far_as(seen).phases == ("calm", "stream")
    one = replace(SEEN, changes=changes[1:])
    assert script("takeover").as_far_as(one).changes == 2


def test_a_phase_has_the_flows_that_were_asked_for_but_for_a_few() -> None:
    flows = script("takeover").flows({"flows": "7"})
    assert flows == {name: None if name == "during" else 7 for name in STREAM}
    assert script("last-gone").flows({}) == {"queued": 400, "fates": 400, "new": 16}
    assert script("drain").flows({"flows": "9"}) == {"calm": 200, "stream": 9}


@pytest.mark.parametrize("depth", Depth)
def test_every_question_that_is_asked_has_a_script(depth: Depth) -> None:
    for cell in cells(depth):
        scenario = CATALOGUE[cell.scenario]
        assert scenario.script(scenario.parameters(cell, depth)).steps


def test_the_simulated_agent_answers_what_there_is_to_ask() -> None:
    assert SIMULATED.keys() == CATALOGUE.keys() == SCRIPTS.keys() - {"facts"}
