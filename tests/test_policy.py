"""Which guest goes next to which machine: what must hold for any guests and machines."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cluster_model
from harness.run.policy import Station, Task, schedule, starts

NAMES = ("mac", "kvm", "tcg")

SECONDS = st.sampled_from((0.0, 1.0, 10.0, 40.0, 600.0, 1800.0))

TASKS = st.lists(st.dictionaries(st.sampled_from(NAMES), SECONDS, max_size=3), max_size=8).map(
    lambda found: [Task(f"guest-{at}", seconds) for at, seconds in enumerate(found)]
)


@st.composite
def stations(draw: st.DrawFn) -> list[Station]:
    """Machines, some of them busy; some with more tasks than slots, as after a lost one."""
    return [
        Station(name, draw(st.integers(0, 3)), tuple(draw(st.lists(SECONDS, max_size=3))))
        for name in NAMES
        if draw(st.booleans())
    ]


@given(TASKS, stations())
def test_every_guest_is_planned_once_and_only_where_it_can_be_started(
    tasks: list[Task], found: list[Station]
) -> None:
    able = {station.name for station in found if station.slots}
    planned = schedule(tasks, found)
    assert sorted(one.task for one in planned) == sorted(
        task.name for task in tasks if able & task.seconds.keys()
    )
    seconds = {task.name: task.seconds for task in tasks}
    for one in planned:
        assert one.ends - one.begins == pytest.approx(seconds[one.task][one.station])


@given(TASKS, stations())
def test_no_more_begin_now_than_slots_are_free(tasks: list[Task], found: list[Station]) -> None:
    begun = Counter(one.station for one in starts(tasks, found))
    for station in found:
        assert begun[station.name] <= station.free


@given(TASKS, stations())
def test_no_machine_is_idle_while_a_guest_waits_that_would_end_earliest_there(
    tasks: list[Task], found: list[Station]
) -> None:
    planned = schedule(tasks, found)
    begun = Counter(one.station for one in planned if one.now)
    idle = [station.name for station in found if begun[station.name] < station.free]
    seconds = {task.name: task.seconds for task in tasks}
    for one in planned:
        for name in idle:
            here = seconds[one.task].get(name)
            assert here is None or one.ends <= here + 1e-5


@given(TASKS, stations())
def test_a_run_goes_on_as_long_as_a_machine_can_start_a_guest(
    tasks: list[Task], found: list[Station]
) -> None:
    free = {station.name for station in found if station.free}
    alone = all(not station.busy for station in found)
    able = [task for task in tasks if free & task.seconds.keys()]
    assert bool(starts(tasks, found)) == bool(able) or not alone


def test_guests_of_one_machine_without_a_history_begin_in_the_order_in_which_they_were_named() -> (
    None
):
    tasks = [Task(name, {"": 1.0}) for name in ("zebra", "ape", "mole")]
    assert [one.task for one in starts(tasks, [Station("", 2)])] == ["zebra", "ape"]
    assert [one.task for one in starts(tasks[1:], [Station("", 2, (1.0,))])] == ["ape"]


def test_a_machine_that_alone_can_do_something_does_that() -> None:
    tasks = [Task("linux", {"mac": 60.0, "kvm": 70.0}), Task("macos", {"mac": 60.0})]
    planned = {
        one.task: one.station for one in starts(tasks, [Station("mac", 1), Station("kvm", 1)])
    }
    assert planned == {"linux": "kvm", "macos": "mac"}


def test_a_slow_machine_takes_nothing_that_a_fast_one_would_end_sooner() -> None:
    tasks = [Task("a", {"kvm": 10.0, "tcg": 40.0}), Task("b", {"kvm": 10.0, "tcg": 40.0})]
    planned = schedule(tasks, [Station("kvm", 1), Station("tcg", 1)])
    assert [(one.task, one.station, one.now) for one in planned] == [
        ("a", "kvm", True),
        ("b", "kvm", False),
    ]


def test_of_machines_on_which_a_guest_ends_at_the_same_time_the_least_busy_takes_it() -> None:
    tasks = [Task(name, {"a": 5.0, "b": 5.0}) for name in ("x", "y", "z")]
    planned = {one.task: one.station for one in starts(tasks, [Station("a", 4), Station("b", 2)])}
    assert planned == {"x": "a", "y": "b", "z": "a"}


def test_a_guest_that_takes_longer_than_expected_still_has_its_slot() -> None:
    assert not starts([Task("a", {"kvm": 1.0})], [Station("kvm", 1, (0.0,))])


def test_the_model_of_a_lab_is_near_what_no_plan_can_beat() -> None:
    chance = random.Random(20)
    labs = [cluster_model.draw(chance, cluster_model.USUAL) for _ in range(5)]
    for lab in labs:
        cut, kept, took = (
            one(lab) for one in (cluster_model.pieces, cluster_model.whole, cluster_model.played)
        )
        assert cut <= kept * 1.01
        assert kept <= took * 1.01
        assert took <= kept * cluster_model.LIMIT
