"""The catalogue is complete and not too large, and each classifier judges each kernel correctly."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import simulated_kernels as kernels
from simulated_agent import SIMULATED, answer
from simulated_changes import STREAM
from simulated_groups import HUNDREDS
from simulated_kernels import HEIR, Kernel
from simulated_trial import NEWEST, SCALED, TURNS

from harness import guests
from harness.judge import conclude, judge
from harness.machine.resources import guests_folder
from harness.model import Depth, Judgement, State
from harness.scenarios import CATALOGUE, SCRIPTS, cells
from harness.scenarios.grid import Numbers
from harness.scenarios.tunables import FAST_OPEN
from harness.wire.replies import parse

CONFIRMED = ("intrusion", "distribution", "takeover", "fallback", "datagrams")
"""They name an order, and so make sure that it is one."""

HARNESS = Path(__file__).parent.parent / "harness"


class Question:
    """A question, as `judge` needs it."""

    def __init__(self, scenario: str, parameters: Mapping[str, str]) -> None:
        self.id, self.scenario, self.parameters = "q", scenario, parameters


def judged(kernel: Kernel, scenario: str, **parameters: str) -> Judgement:
    """Ask a simulated kernel through the wire parser and the judge, like a real one."""
    asked = {"listeners": "4", "flows": "400", "deadline": "7000", **parameters}
    (reply,) = parse(answer(kernel, scenario, asked), SCRIPTS)
    assert reply.torn is None, reply.torn
    return judge(CATALOGUE[scenario], reply, Question(scenario, asked))


def test_the_quick_form_is_small_and_the_full_one_bounded() -> None:
    for depth, least, most, set_at_most in (
        (Depth.QUICK, 45, 110, 8),
        (Depth.FULL, 600, 1700, 80),
    ):
        every = cells(depth)
        as_found = [cell for cell in every if cell.setting is None]
        assert least <= len(as_found) <= most
        assert len(every) - len(as_found) <= set_at_most


OWN = {
    "connected": {"sockets"},
    "group-limit": {"sockets"},
    "drain": {"rounds"},
    "failure-arrivals": {"pace"},
    "failure-established": {"joining"},
    "failure-handshake": {"peer", "round"},
    "server-port": {"peer", "ports"},
    "steering": {"member"},
}
"""Parameters that a scenario adds to those that every question has."""


@pytest.mark.parametrize("depth", Depth)
def test_every_cell_has_a_key_of_its_own_and_words_for_the_agent(depth: Depth) -> None:
    keys = [cell.key for cell in cells(depth)]
    assert len(set(keys)) == len(keys)
    for cell in cells(depth):
        asked = CATALOGUE[cell.scenario].parameters(cell, depth)
        assert asked.items() >= cell.axes.items()
        own = OWN.get(cell.scenario, set())
        numbers = {"listeners", "flows", "deadline", "backlog"}
        many = cell.axes.get("peer") == "tun" or "delivery" in cell.axes
        own = own | ({"confirm"} if cell.scenario in CONFIRMED and not many else set())
        assert asked.keys() - cell.axes.keys() == (numbers | own) - cell.axes.keys()
        least = {"tcp": 6000, "mptcp": 6000, "udp": 1000}[asked["protocol"]]
        assert int(asked["deadline"]) > (3000 if cell.scenario == "server-port" else least)
        assert {"option", "protocol", "family", "bind"} <= cell.axes.keys()


def test_what_is_quick_is_a_part_of_what_is_full() -> None:
    assert set(cells(Depth.QUICK)) <= set(cells(Depth.FULL))


FULL_ONLY = {
    "backlog",
    "confined",
    "connected",
    "intrusion",
    "one-listener",
    "orphans",
    "restart",
    "steering",
}
"""Scenarios that a quick run leaves out: it must not become slower with each question."""


def test_a_quick_run_leaves_out_no_other_scenario() -> None:
    quick = {cell.scenario for cell in cells(Depth.QUICK)}
    assert set(CATALOGUE) - quick == FULL_ONLY


@pytest.mark.parametrize("scenario", sorted(set(CATALOGUE) - FULL_ONLY))
def test_the_quick_form_meets_every_value_of_an_axis_that_applies(scenario: str) -> None:
    quick = cells(Depth.QUICK, [scenario])
    full = cells(Depth.FULL, [scenario])
    wanted = {"reuseport", "reuseport_lb", "tcp", "udp", "ipv4", "ipv6", "specific", "wildcard"}
    wanted |= {"close", "kill"}
    there = {value for cell in full for value in cell.axes.values()} & wanted
    assert {value for cell in quick for value in cell.axes.values()} >= there


def test_a_tunable_is_asked_at_two_values_or_more_and_only_where_it_is_listed() -> None:
    values: dict[tuple[str, str], set[str]] = {}
    for cell in cells(Depth.FULL):
        if cell.setting is None:
            assert cell.fits(())
            continue
        name, value = cell.setting
        assert (cell.fits((name,)), cell.fits(("another",)), cell.fits(())) == (True, False, False)
        values.setdefault((cell.scenario, name), set()).add(value)
    assert values
    # Without it there is no Fast Open, so only one value has an answer.
    assert values.pop(("failure-queued", FAST_OPEN)) == {"3"}
    assert all({"0", "1"} <= found for found in values.values())


def test_a_tunable_that_is_set_is_in_some_guests_file() -> None:
    listed = {name for guest in guests.load([guests_folder()]).values() for name in guest.tunables}
    names = {cell.setting[0] for cell in cells(Depth.FULL) if cell.setting is not None}
    assert names <= listed


def test_scenarios_by_name_keep_the_order_of_the_catalogue() -> None:
    chosen = cells(Depth.QUICK, ["last-gone", "sharing"])
    assert list(dict.fromkeys(cell.scenario for cell in chosen)) == ["sharing", "last-gone"]
    with pytest.raises(KeyError, match="nonsense"):
        cells(Depth.QUICK, ["nonsense"])


def test_a_scenario_asks_its_own_numbers() -> None:
    asked = Numbers(7, 9, listeners=2, backlog=3)(cells(Depth.QUICK)[0], Depth.FULL)
    assert (asked["flows"], asked["listeners"], asked["backlog"]) == ("9", "2", "3")


CASES = {
    f"{scenario}-{i}-{case.word}": (scenario, case)
    for scenario, simulated in SIMULATED.items()
    for i, case in enumerate(simulated.cases)
}


@pytest.mark.parametrize("name", CASES)
def test_a_classifier_says_of_each_kernel_what_it_should(name: str) -> None:
    scenario, case = CASES[name]
    found = judged(case.kernel, scenario, **case.asked)
    assert found.state is case.state, found
    if case.state is not State.MEASURED:
        assert case.word in (found.why or "")
        return
    assert (found.verdict, found.why) == (case.word, None)
    assert case.word.split(":")[0] in CATALOGUE[scenario].words


def test_every_word_is_given_to_some_kernel() -> None:
    measured = [one for one in CASES.values() if one[1].state is State.MEASURED]
    given = {(scenario, case.word.split(":")[0]) for scenario, case in measured}
    words = {(name, word) for name, one in CATALOGUE.items() for word in one.words}
    # Both need lines of the agent that no simulated kernel writes: see test_judge.
    assert words - given == {("sharing", "undefined"), ("sharing", "unsupported")}


def test_a_gap_alone_does_not_spoil_a_trial_in_which_nothing_timed_out() -> None:
    assert judged(Kernel(gap=3000), "distribution").verdict == "balanced"


REFUSALS = (
    "sharing",
    "intrusion",
    "last-gone",
    "group-limit",
    "precedence",
    "one-listener",
    "restart",
)
"""Scenarios that judge a refusal, whose second socket is no member, or that have no members."""


@pytest.mark.parametrize(
    "scenario",
    [name for name in CATALOGUE if name not in REFUSALS],
)
def test_a_refused_listener_makes_a_scenario_not_applicable(scenario: str) -> None:
    found = judged(Kernel(refused="EADDRINUSE"), scenario)
    assert found.state is State.NOT_APPLICABLE
    assert found.why == "listener 2 of 4 was refused: bind EADDRINUSE"


def test_the_side_that_binds_second_may_be_the_first_one() -> None:
    found = judged(Kernel(refused="EACCES"), "precedence", position="last")
    assert found.why == "listener 4 of 4 was refused: bind EACCES"


def test_a_group_that_is_refused_says_by_which_errno() -> None:
    counts = judged(Kernel(limit=256, refused="ENOBUFS"), "group-limit", **HUNDREDS).counts
    assert (counts["stood"], counts["ever_served"], counts["bind_ENOBUFS"]) == (256, 256, 1)


def test_a_listener_that_cannot_be_shut_down_is_counted_as_one_that_serves() -> None:
    found = judged(Kernel(shutting="ENOTCONN"), "failure-arrivals", failure="shutdown")
    assert found.verdict == "no-shutdown:ENOTCONN"
    assert 40 < found.counts["served_by_it_afterwards"] < 70
    paused = {"failure": "shutdown", "listeners": "1"}
    found = judged(Kernel(shutting="EINVAL"), "last-gone", **paused)
    assert (found.verdict, found.counts) == ("no-shutdown:EINVAL", {})


def test_survivors_without_a_connection_are_not_called_unaffected() -> None:
    found = judged(NEWEST, "failure-established")
    assert found.state is State.NOT_APPLICABLE
    assert found.counts["victim_total"] == 400


def test_a_queue_says_who_inherits_it_and_how_much_there_was() -> None:
    counts = judged(Kernel(queued=HEIR), "failure-queued").counts
    assert counts["inherited_by_3"] == counts["victim_inherited"] == counts["victim_total"] > 60
    assert counts["survivors_served"] == counts["survivors_total"]


def test_a_queue_judged_by_counts_alone_says_so() -> None:
    assert judged(TURNS, "failure-queued", flows="398").statistics["by_counts_only"] == 1.0
    assert judged(SCALED, "failure-queued").statistics["by_counts_only"] == 0.0


def test_the_capacity_of_a_hung_queue_is_counted() -> None:
    counts = judged(SCALED, "failure-hung").counts
    assert (counts["queue_capacity"], counts["queue_filled"], counts["backlog"]) == (17, 1, 16)


def test_the_share_of_moved_flows_is_that_of_the_kernel() -> None:
    # Scaling maps four places to three, so no member keeps more than the lower part of its place.
    figures = judged(Kernel(), "failure-flows", flows="4000", member="last").statistics
    assert figures["moved_of_survivors"] == pytest.approx(1 / 3, abs=0.03)
    modulo = Kernel(kernels.modulo)
    figures = judged(modulo, "failure-flows", flows="4000", member="last").statistics
    assert figures["moved_of_all"] == pytest.approx(3 / 4, abs=0.03)


def test_the_last_one_gone_keeps_the_errnos_of_both_rebinds() -> None:
    counts = judged(SCALED, "last-gone", listeners="1").counts
    assert (counts["rebind_same_ok"], counts["rebind_none_ok"]) == (1, 0)
    assert (counts["rebind_none_EADDRINUSE"], counts["queue_reset"]) == (1, 400)


@pytest.mark.parametrize("stays", [1, 58])
def test_a_way_that_is_refused_is_not_applicable_from_the_change_that_was(stays: int) -> None:
    kernel = Kernel(retiring="ENOTCONN", stays=stays)
    found = judged(kernel, "drain", **STREAM, way="shutdown")
    what = "back" if stays % 2 else "shutdown"
    assert found.state is State.NOT_APPLICABLE
    assert found.why == f"{what} of listener {stays // 2 % 4 + 1} failed: ENOTCONN"


def test_kinds_of_loss_are_counted_apart_and_what_no_loss_excludes_is_said() -> None:
    found = judged(Kernel(drops=3, arriving="ECONNREFUSED"), "drain", **STREAM)
    kinds = ("refused", "reset", "closed", "never_served", "delayed")
    assert [found.counts[name] for name in kinds] == [3, 0, 0, 0, 0]
    assert (found.counts["flows"], found.counts["retirements"]) == (4000, 30)
    assert (found.counts["pace_per_s"], found.counts["drained"]) == (1000, 30)
    assert found.counts["exposed"] == 960
    figures = judged(SCALED, "drain", **STREAM).statistics
    assert 1 / 500 < figures["excluded_share"] < 1 / 100
    assert figures["lost_share"] == figures["lost_per_retirement"] == 0
    assert judged(Kernel(drops=5), "drain", **STREAM).statistics["lost_per_retirement"] == 1 / 6


def test_recovery_is_the_time_until_the_last_flow_began_that_was_hurt() -> None:
    assert judged(Kernel(drops=5), "failure-arrivals").counts["recovery_ms"] == 4


def test_nothing_in_the_harness_can_reach_a_simulated_kernel() -> None:
    for path in HARNESS.rglob("*.py"):
        text = path.read_text()
        assert "simulated" not in text, path
        assert "import tests" not in text, path
        assert "from tests" not in text, path


def test_words_of_a_guest_are_no_counts_of_a_restart() -> None:
    said = answer(SCALED, "restart", SIMULATED["restart"].asked)
    hostile = b'{"event":"fact","name":"leftover","value":"<b>many"}\n'
    at = said.index(b'{"event":"end"')
    (reply,) = parse(said[:at] + hostile + said[at:], SCRIPTS)
    assert reply.observation is not None
    found = conclude(CATALOGUE["restart"], reply.observation)
    assert (found.verdict, "leftover" in found.counts) == ("lossless", False)
