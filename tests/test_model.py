"""Cells have one name, judgements hold their invariants, repeats settle honestly."""

import pytest

from harness.model import Cell, Judgement, State, settle, word


def measured(verdict: str) -> Judgement:
    return Judgement(State.MEASURED, verdict=verdict)


FAILED = Judgement(State.INFRASTRUCTURE, why="guest lost")


def test_the_five_axes_come_first_whatever_the_order_of_the_call() -> None:
    cell = Cell.at("fallback", order="newest", bind="specific", option="reuseport")
    assert cell.key == "fallback option=reuseport bind=specific order=newest"


def test_a_cell_may_set_one_tunable_and_fits_a_guest_that_has_it() -> None:
    cell = Cell.at("distribution", option="reuseport", tunables="net.a.b=1")
    assert cell.setting == ("net.a.b", "1")
    assert cell.key == "distribution option=reuseport tunables=net.a.b=1"
    assert cell.fits(["net.a.b"])
    assert not cell.fits(["net.a"])
    plain = Cell.at("distribution", option="reuseport")
    assert plain.setting is None
    assert plain.fits([])


@pytest.mark.parametrize("state", [state for state in State if state is not State.MEASURED])
def test_only_a_measured_cell_can_carry_a_verdict(state: State) -> None:
    with pytest.raises(ValueError, match="verdict"):
        Judgement(state, verdict="balanced", why="because")


def test_every_other_state_needs_its_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        Judgement(State.INCONCLUSIVE)
    with pytest.raises(ValueError, match="verdict"):
        Judgement(State.MEASURED)


def test_a_repeat_that_measured_makes_good_a_failure_before_it() -> None:
    assert settle([FAILED, measured("reset")]) == measured("reset")


def test_repeats_that_disagree_are_inconclusive_and_say_k_of_n() -> None:
    outcome = settle([measured("reset"), measured("inherited"), measured("reset")])
    assert outcome.state is State.INCONCLUSIVE
    assert outcome.why == "repeats disagree: reset 2 of 3, inherited 1 of 3"


def test_two_failures_stay_a_failure() -> None:
    assert settle([FAILED, FAILED]) == FAILED


def test_counts_do_not_make_another_verdict_but_an_errno_does() -> None:
    assert settle([measured("reset:5/181"), measured("reset:9/182")]) == measured("reset:9/182")
    assert settle([measured("refused:EACCES"), measured("refused:EPERM")]).verdict is None
    assert word("swallowed:0.21") == "swallowed"
