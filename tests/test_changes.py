"""Changes are found cell by cell, and a verdict can change only if both runs have one."""

from collections.abc import Mapping

import pytest
from test_claims import Guest, matrix, measured

from harness.matrix import Matrix
from harness.matrix.changes import CellChange, Comparison, Kind, Setting, compare, releases
from harness.model import Cell, Judgement, State

AT = Cell.at("failure-established", option="reuseport", protocol="tcp", failure="kill")

OTHER = Cell.at("sharing", option="reuseport", case="both")

MOVES = Cell.at("failure-flows", option="reuseport", change="leave", member="middle")


def no(state: State) -> Judgement:
    return Judgement(state, why=f"why {state}")


def one(judgement: Judgement, cell: Cell = AT) -> Matrix:
    return matrix(g=Guest("Linux", "6.1", {cell: judgement}))


def changes(old: Matrix, new: Matrix) -> list[CellChange]:
    return [change for pair in compare(old, new).pairs for change in pair.changes]


def kinds(old: Matrix, new: Matrix) -> list[Kind]:
    return [change.kind for change in changes(old, new)]


STATES = [state for state in State if state is not State.MEASURED]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (measured("reset"), measured("inherited"), Kind.CHANGED),
        (measured("refused:EACCES"), measured("refused:EADDRINUSE"), Kind.CHANGED),
        (measured("unaffected"), measured("dropped:3/100"), Kind.CHANGED),
        (measured("dropped:3/100"), measured("dropped:4/100"), None),
        (measured("refused:0.25"), measured("refused:1.00"), None),
        (measured("reset", queued=4), measured("reset", queued=5), None),
        *((measured("reset"), no(state), Kind.UNMEASURED) for state in STATES),
        *((no(state), measured("reset"), Kind.MEASURED) for state in STATES),
        *((no(state), no(state), None) for state in STATES),
        (no(State.NOT_RUN), no(State.INCONCLUSIVE), Kind.OTHERWISE),
    ],
)
def test_each_cell_has_at_most_one_kind_of_change(
    old: Judgement, new: Judgement, kind: Kind | None
) -> None:
    assert kinds(one(old), one(new)) == ([] if kind is None else [kind])
    both = old.state is new.state is State.MEASURED
    assert compare(one(old), one(new)).measured == both


def test_cells_asked_once_are_told_apart_from_guests_that_are_there_once() -> None:
    old = matrix(
        g=Guest("Linux", "6.1", {AT: measured("reset"), OTHER: measured("shared")}),
        h=Guest("Linux", "6.2", {AT: measured("reset")}),
    )
    new = matrix(g=Guest("Linux", "6.1", {AT: measured("reset"), MOVES: measured("stable")}))
    found = compare(old, new)
    assert [(change.kind, change.entry.scenario) for change in found.pairs[0].changes] == [
        (Kind.APPEARED, "failure-flows"),
        (Kind.GONE, "sharing"),
    ]
    assert (found.gone, found.appeared) == ({"h": 1}, {})
    assert compare(new, old).appeared == {"h": 1}
    assert found.measured == 1


def test_the_order_of_axes_in_a_file_is_no_difference() -> None:
    other = Cell(AT.scenario, tuple(reversed(AT.points)))
    assert kinds(one(measured("reset")), one(measured("closed"), other)) == [Kind.CHANGED]


def test_a_run_compared_with_itself_has_not_changed() -> None:
    run = matrix(g=Guest("Linux", "6.1", {AT: measured("reset"), MOVES: moved(10, 100)}))
    found = compare(run, run)
    assert [(pair.settings, pair.changes) for pair in found.pairs] == [((), ())]
    assert found.measured == 2


def test_settings_that_differ_are_named_unless_one_of_both_was_not_asked() -> None:
    old = Guest("Linux", "6.1", {}, {"net.a": 1, "net.b": 2, "net.gone": 3, "net.unasked": 1})
    new = Guest("Linux", "6.1", {}, {"net.a": 1, "net.b": 0, "net.gone": None})
    (pair,) = compare(matrix(g=old), matrix(g=new)).pairs
    assert pair.settings == (
        Setting("net.b", 2, 0),
        Setting("net.gone", 3, None),
    )


def moved(some: int, of: int) -> Judgement:
    return measured("reshuffled", survivors_moved=some, survivors_total=of)


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        (moved(103, 160), moved(16, 160), True),
        (moved(16, 160), moved(103, 160), True),
        (moved(103, 160), moved(90, 160), False),
        (moved(0, 400), moved(400, 400), True),
        (moved(1, 2), moved(0, 2), False),
        (moved(0, 0), moved(400, 400), False),
        (moved(7, 3), moved(400, 400), False),
        (moved(-4, 3), moved(400, 400), False),
        (measured("reshuffled"), moved(400, 400), False),
        (measured("reshuffled", survivors_moved=1), moved(400, 400), False),
    ],
)
def test_a_share_differs_if_chance_hardly_ever_does_that(
    old: Judgement, new: Judgement, differs: bool
) -> None:
    found = changes(one(old, MOVES), one(new, MOVES))
    assert [change.kind for change in found] == ([Kind.SHARE] if differs else [])
    assert all(change.p is not None and change.p <= 1e-6 for change in found)


def test_what_is_not_drawn_by_each_flow_is_not_tested() -> None:
    at = Cell.at("failure-arrivals", option="reuseport")
    assert kinds(one(measured("reset:1/400"), at), one(measured("reset:399/400"), at)) == []
    stranger = Cell.at("from-a-newer-program")
    assert kinds(one(moved(0, 400), stranger), one(moved(400, 400), stranger)) == []


def test_the_more_shares_are_tested_the_more_it_takes() -> None:
    """Bonferroni: p is 5e-7 here, small enough for one test but not for a hundred."""
    cells = [Cell.at("failure-flows", number=str(number)) for number in range(100)]
    even = {cell: moved(120, 200) for cell in cells}
    old = matrix(g=Guest("Linux", "6.1", even))

    def with_one(some: int) -> Matrix:
        return matrix(g=Guest("Linux", "6.1", even | {cells[0]: moved(some, 200)}))

    assert kinds(one(moved(120, 200), cells[0]), one(moved(69, 200), cells[0])) == [Kind.SHARE]
    assert kinds(old, with_one(69)) == []
    assert kinds(old, with_one(60)) == [Kind.SHARE]


# From release to release.


def run(releases: Mapping[str, str], system: str = "Linux") -> Matrix:
    return matrix(
        {
            f"g{number}": Guest(system, release, {AT: measured(verdict)})
            for number, (release, verdict) in enumerate(releases.items())
        }
    )


def between(comparison: Comparison) -> list[tuple[str | None, str | None, int]]:
    return [(p.old.release, p.new.release, len(p.changes)) for p in comparison.pairs]


def test_releases_are_compared_in_the_order_of_their_versions() -> None:
    found = releases(
        run({"6.12.9": "b", "5.10": "a", "6.1.0-50-x": "b", "6.1.0-9-x": "a", "10.0": "c"})
    )
    assert between(found) == [
        ("5.10", "6.1.0-9-x", 0),
        ("6.1.0-9-x", "6.1.0-50-x", 1),
        ("6.1.0-50-x", "6.12.9", 0),
        ("6.12.9", "10.0", 1),
    ]
    assert found.count(Kind.CHANGED) == 2
    assert (found.gone, found.appeared) == ({}, {})


def test_systems_are_never_compared_with_each_other() -> None:
    cells = {AT: measured("a")}
    found = releases(
        matrix(
            a=Guest("Linux", "6.1", cells),
            b=Guest("FreeBSD", "14", cells),
            c=Guest("", "15", cells),
        )
    )
    assert found.pairs == ()


@pytest.mark.parametrize("release", [None, "rolling"])
def test_a_release_that_cannot_be_ordered_is_left_out(release: str | None) -> None:
    cells = {AT: measured("a")}
    found = releases(
        matrix(
            a=Guest("Linux", "6.1", cells),
            b=Guest("Linux", release, {AT: measured("b")}),
            c=Guest("Linux", "6.12", cells),
        )
    )
    assert between(found) == [("6.1", "6.12", 0)]


def test_a_guest_of_which_nothing_was_measured_speaks_for_no_release() -> None:
    found = releases(
        matrix(
            a=Guest("Linux", "6.1", {AT: measured("a")}),
            b=Guest("Linux", "6.12", {AT: no(State.INFRASTRUCTURE)}),
            c=Guest("Linux", "7.3", {AT: measured("b")}),
        )
    )
    assert between(found) == [("6.1", "7.3", 1)]


def test_of_two_guests_of_one_release_the_one_speaks_that_measured_most() -> None:
    found = releases(
        matrix(
            a=Guest("Linux", "6.1", {AT: measured("a")}),
            b=Guest("Linux", "6.1", {AT: measured("b"), OTHER: measured("shared")}),
            c=Guest("Linux", "6.12", {AT: measured("b")}),
        )
    )
    assert [(pair.old.guest, pair.new.guest) for pair in found.pairs] == [("b", "c")]
    assert found.count(Kind.CHANGED) == 0


def test_a_tunable_that_a_release_brings_is_named() -> None:
    name = "net.ipv4.tcp_tw_reuse_delay"
    cells = {AT: measured("a")}
    old = Guest("Linux", "6.12", cells, {name: None})
    (pair,) = releases(matrix(a=old, b=Guest("Linux", "7.3", cells, {name: 1000}))).pairs
    assert pair.settings == (Setting(name, None, 1000),)
