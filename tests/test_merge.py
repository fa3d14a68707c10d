"""Runs of several machines as one matrix: no guest is lost, mixed up or counted twice."""

from collections.abc import Mapping
from itertools import permutations

import pytest
from cost import cheap
from msgspec.structs import replace
from test_report import HOSTILE

from harness.errors import UsageError
from harness.matrix import Entry, Facts, Matrix, Run, decode, encode
from harness.matrix.merge import Conflict, Merged, merge
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.report.merge import data, terminal

LINUX: Facts = {"system": "Linux", "release": "6.1", "provider": "qemu"}
MAC: Facts = {"system": "Darwin", "release": "24.1.0", "provider": "host"}


def cell(number: int = 0) -> Cell:
    return Cell.at("distribution", family="ipv4", number=str(number))


def run(
    day: int,
    said: Mapping[str, str | State | None],
    facts: Mapping[str, Facts] | None = None,
    depth: Depth = Depth.FULL,
) -> Matrix:
    trials = [
        Trial(guest, cell(), (judgement(word),), f"t{day}", 0.5)
        for guest, word in said.items()
        if word is not None
    ]
    known = {guest: (facts or {}).get(guest, LINUX) for guest in said}
    return Matrix.of(Run(f"r{day}", f"2026-11-{day:02}T00:00:00+00:00", depth), known, trials)


def judgement(word: str | State) -> Judgement:
    if isinstance(word, State):
        return Judgement(word, why="because")
    return Judgement(State.MEASURED, word, counts={"flows": 4})


def said(matrix: Matrix) -> dict[str, str]:
    return {one.guest: one.verdict or one.state for one in matrix.cells}


def test_guests_of_all_runs_are_there_with_the_run_that_they_are_of() -> None:
    merged = merge([run(1, {"a": "balanced"}), run(2, {"b": "newest"})])
    assert said(merged.matrix) == {"a": "balanced", "b": "newest"}
    assert [merged.matrix.guests[name]["run"] for name in "ab"] == ["r1", "r2"]
    assert (merged.renamed, merged.conflicts) == ((), ())


def test_two_machines_called_host_are_two_guests() -> None:
    merged = merge(
        [run(1, {"host": "balanced"}), run(2, {"host": "newest", "b": "x"}, {"host": MAC})]
    )
    assert said(merged.matrix) == {
        "host-Darwin-24.1.0": "newest",
        "host-Linux-6.1": "balanced",
        "b": "x",
    }
    assert {(old, new) for old, new, _ in merged.renamed} == {
        ("host", "host-Darwin-24.1.0"),
        ("host", "host-Linux-6.1"),
    }


def test_the_same_kernel_by_two_providers_is_not_the_same_guest() -> None:
    other = {**LINUX, "provider": "vagrant"}
    merged = merge([run(1, {"a": "x"}), run(2, {"a": "y"}, {"a": other})])
    assert set(said(merged.matrix)) == {"a-Linux-6.1-qemu", "a-Linux-6.1-vagrant"}


def test_a_machine_that_could_not_start_a_guest_adds_nothing_to_it() -> None:
    unknown: Facts = {"system": "macOS", "release": None, "provider": None}
    merged = merge([run(1, {"a": "x"}, {"a": MAC}), run(2, {"a": State.NOT_RUN}, {"a": unknown})])
    assert (said(merged.matrix), merged.renamed) == ({"a": "x"}, ())
    alone = merge([run(2, {"a": State.NOT_RUN}, {"a": unknown})])
    assert said(alone.matrix) == {"a": State.NOT_RUN}


def test_what_was_measured_holds_against_what_was_not() -> None:
    merged = merge([run(1, {"a": "x"}), run(2, {"a": State.INFRASTRUCTURE})])
    assert said(merged.matrix) == {"a": "x"}
    merged = merge([run(1, {"a": State.NOT_APPLICABLE}), run(2, {"a": State.NOT_RUN})])
    assert said(merged.matrix) == {"a": State.NOT_APPLICABLE}


def test_the_newest_of_several_measurements_is_shown() -> None:
    merged = merge([run(2, {"a": "reset:2/9"}), run(1, {"a": "reset:1/9"})])
    assert said(merged.matrix) == {"a": "reset:2/9"}
    assert merged.conflicts == ()


def test_contradicting_runs_make_a_cell_inconclusive_with_both_in_it() -> None:
    merged = merge([run(1, {"a": "x"}), run(2, {"a": "y"})])
    (entry,) = merged.matrix.cells
    assert (entry.state, entry.why) == (State.INCONCLUSIVE, "repeats disagree: x 1 of 2, y 1 of 2")
    assert [one.verdict for one in entry.repeats] == ["x", "y"]
    assert [(one.guest, one.words) for one in merged.conflicts] == [("a", ("x", "y"))]


def test_the_order_of_the_runs_changes_nothing_nor_does_a_copy_of_one() -> None:
    runs = [
        run(1, {"a": "x", "host": "p"}),
        run(2, {"a": "y", "host": "q"}, {"host": MAC}),
        run(3, {"c": "z"}, depth=Depth.QUICK),
    ]
    texts = {encode(merge(order).matrix) for order in permutations(runs)}
    texts.add(encode(merge([*runs, runs[0]]).matrix))
    assert len(texts) == 1
    assert merge(runs).matrix.run.catalogue is Depth.QUICK
    assert merge(runs[:2]).matrix.run.catalogue is Depth.FULL
    assert merge(runs).matrix.run.started == runs[2].run.started


def test_a_run_that_was_judged_twice_is_the_same_whichever_comes_first() -> None:
    old, new = run(1, {"a": "x", "b": "x"}), run(1, {"a": "x", "b": "y"})
    assert encode(merge([old, new]).matrix) == encode(merge([new, old]).matrix)
    assert said(merge([old, new]).matrix) == {"a": "x", "b": State.INCONCLUSIVE}


def test_a_contradiction_is_not_settled_by_whoever_measures_next() -> None:
    both = merge([run(1, {"a": "x"}), run(2, {"a": "y"})]).matrix
    (entry,) = merge([both, run(3, {"a": "x"})]).matrix.cells
    assert (entry.state, entry.why) == (State.INCONCLUSIVE, "repeats disagree: x 2 of 3, y 1 of 3")
    again = merge([both, both])
    assert (again.matrix.cells, again.conflicts) == (both.cells, ())


def test_what_could_not_be_told_once_is_told_by_who_could() -> None:
    merged = merge([run(1, {"a": "x"}), run(2, {"a": State.INCONCLUSIVE})])
    assert (said(merged.matrix), merged.conflicts) == ({"a": "x"}, ())


def test_a_guest_that_did_not_boot_elsewhere_is_no_other_guest() -> None:
    dead: Facts = {"system": "Linux", "release": None, "provider": None}
    merged = merge([run(1, {"a": "x"}), run(2, {"a": State.INFRASTRUCTURE}, {"a": dead})])
    assert (said(merged.matrix), merged.renamed) == ({"a": "x"}, ())


def test_a_failure_elsewhere_is_not_lost() -> None:
    """A failure of a Mac's `host` stays apart from a Linux `host`; one of a Linux joins it."""
    dead: Facts = {"system": "macOS", "release": None, "provider": None}
    failed = run(2, {"host": State.INFRASTRUCTURE}, {"host": dead})
    assert said(merge([run(1, {"host": "x"}), failed]).matrix) == {
        "host-Linux-6.1": "x",
        "host-macOS": State.INFRASTRUCTURE,
    }
    other = replace(
        failed, guests={"host": {**dead, "system": "Linux"}}, cells=(moved(failed), *failed.cells)
    )
    merged = merge([run(1, {"host": "x"}), other]).matrix
    assert {one.state for one in merged.cells} == {State.MEASURED, State.INFRASTRUCTURE}
    assert merged.guests == {"host": {**LINUX, "run": "r1"}}


def moved(one: Matrix) -> Entry:
    return replace(one.cells[0], axes={"family": "ipv6"})


def test_one_release_on_two_machines_is_two_guests() -> None:
    arm, intel = ({**MAC, "facts": {"machine": name}} for name in ("arm64", "x86_64"))
    merged = merge([run(1, {"host": "x"}, {"host": arm}), run(2, {"host": "y"}, {"host": intel})])
    assert said(merged.matrix) == {
        "host-Darwin-24.1.0-arm64": "x",
        "host-Darwin-24.1.0-x86_64": "y",
    }


def test_a_new_name_is_nobodys() -> None:
    taken = run(3, {"host-Darwin-24.1.0": "z"})
    runs = [run(1, {"host": "x"}), run(2, {"host": "y"}, {"host": MAC}), taken]
    assert set(said(merge(runs).matrix)) == {
        "host-Darwin-24.1.0",
        "host-Darwin-24.1.0-2",
        "host-Linux-6.1",
    }


def test_a_guest_keeps_the_run_that_it_is_of() -> None:
    first = merge([run(1, {"a": "x"}), run(2, {"b": "y"})]).matrix
    again = merge([first, run(3, {"c": "z"})]).matrix
    assert [again.guests[name]["run"] for name in "abc"] == ["r1", "r2", "r3"]


def test_what_is_said_of_a_merge_is_folded_and_inert() -> None:
    cells = [Cell.at("sharing", family=family, odd=HOSTILE) for family in ("ipv4", "ipv6")]
    words = ("balanced", HOSTILE)
    conflicts = tuple(Conflict(HOSTILE, one, words) for one in cells)
    whole = run(1, {"a": "x"})
    text = "\n".join(terminal(Merged(whole, ((HOSTILE, "b", HOSTILE),), conflicts), 100))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert max(map(len, text.splitlines())) <= 100
    assert "(2 cells)" in text
    assert data(Merged(whole, (), conflicts))["conflicts"] == [
        {"guest": HOSTILE, "scenario": "sharing", "axes": dict(one.points), "words": words}
        for one in cells
    ]


def test_what_was_merged_can_be_merged_again() -> None:
    runs = [run(1, {"a": "x"}), run(2, {"b": "y"}), run(3, {"c": "z"})]
    first = merge(runs[:2]).matrix
    assert said(merge([first, runs[2]]).matrix) == said(merge(runs).matrix)


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(UsageError):
        merge([])


def test_a_hundred_runs_take_less_than_two_seconds() -> None:
    runs = []
    for day in range(100):
        trials = [
            Trial("a", cell(number), (judgement("x"),), "t", 0.1)
            for number in range(100 if day else 1000)
        ]
        runs.append(Matrix.of(Run(f"r{day}", f"t{day:03}", Depth.FULL), {"a": LINUX}, trials))
    assert len(cheap(lambda: merge(runs), 2).matrix.cells) == 1000


def test_a_merge_names_its_runs_and_what_each_of_them_asked() -> None:
    linux = run(1, {"host": "x", "a": "y"}, depth=Depth.QUICK)
    mac = run(2, {"host": "z"}, {"host": MAC})
    first = merge([linux, mac]).matrix
    assert [(one.id, one.catalogue, dict(one.guests)) for one in first.run.merged] == [
        ("r1", Depth.QUICK, {"a": "a", "host": "host-Linux-6.1"}),
        ("r2", Depth.FULL, {"host": "host-Darwin-24.1.0"}),
    ]
    again = merge([first, run(3, {"a": "y"})]).matrix
    assert [one.id for one in again.run.merged] == ["r1", "r2", "r3"]
    assert dict(again.run.merged[0].guests) == {"a": "a", "host": "host-Linux-6.1"}
    assert decode(encode(again)) == again


def test_a_cell_of_a_merge_names_the_run_that_measured_it() -> None:
    old, new = run(1, {"a": "x"}), run(2, {"a": "x"})
    older = replace(old, cells=(*old.cells, moved(old)))
    merged = merge([older, new]).matrix
    assert {(one.axes["family"], merged.origin(one)) for one in merged.cells} == {
        ("ipv4", "r2"),
        ("ipv6", "r1"),
    }
    twice = merge([merged, older]).matrix
    assert [twice.origin(one) for one in twice.cells] == ["r2", "r1"]


def test_a_run_that_is_no_merge_says_nothing_of_merges() -> None:
    text = encode(run(1, {"a": "x"})).decode()
    assert "merged" not in text
    assert '"run": "' not in text
