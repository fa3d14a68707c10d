"""Only measurements of the systems that a claim is about can decide it."""

from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from recorded_matrix import GUEST, recorded

from harness.claims import CLAIMS, Claim, Finding, Part, Standing, Subject, settle
from harness.claims.claim import EACH
from harness.claims.separate import Point, separators
from harness.matrix import Facts, Matrix, Run
from harness.matrix.evidence import numbers
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.scenarios import CATALOGUE

NUMBERS = (*range(1, 11), *range(12, 21), *range(22, 33))

IDS = (*(f"A{number}" for number in range(1, 10)), *(f"C{number}" for number in NUMBERS))
"""The ids in the list of claims, which has no C11 and no C21."""

UNASKED = {
    ("C24", "sharing"),
}
"""Parts of claims that no scenario asks yet: local sockets."""


class Guest(Struct, frozen=True):
    """A guest for a matrix, with its cells."""

    system: str
    release: str | None
    cells: Mapping[Cell, Judgement]
    settings: Mapping[str, int | None] = {}
    provider: str = "qemu"


def measured(verdict: str, **counts: int) -> Judgement:
    return Judgement(State.MEASURED, verdict, counts=counts)


def matrix(many: Mapping[str, Guest] | None = None, *, run: str = "r", **named: Guest) -> Matrix:
    guests = {**(many or {}), **named}
    facts: dict[str, Facts] = {
        name: {
            "system": one.system,
            "release": one.release,
            "provider": one.provider,
            "facts": {"sysname": one.system, **one.settings},
        }
        for name, one in guests.items()
    }
    trials = [
        Trial(name, cell, (judgement,), "t", 0.1)
        for name, one in guests.items()
        for cell, judgement in one.cells.items()
    ]
    return Matrix.of(Run(run, "t", Depth.FULL), facts, trials)


def spread(
    *,
    specific: str = "balanced",
    wildcard: str = "balanced",
    protocols: Sequence[str] = ("tcp", "udp"),
    **axes: str,
) -> dict[Cell, Judgement]:
    """Return cells of `distribution` in two families, with a word for each bind address."""
    points = {"option": "reuseport", **axes}
    words = {"specific": specific, "wildcard": wildcard}
    return {
        Cell.at("distribution", protocol=protocol, family=family, bind=bind, **points): measured(
            word
        )
        for protocol in protocols
        for family in ("ipv4", "ipv6")
        for bind, word in words.items()
    }


def found(name: str, *matrices: Matrix) -> Finding:
    (one,) = settle([claim for claim in CLAIMS if claim.id == name], matrices)
    return one


def linux(release: str, **words: str) -> Guest:
    return Guest("Linux", release, spread(**words))


# The table.


def test_every_claim_is_there_once_in_order() -> None:
    assert tuple(claim.id for claim in CLAIMS) == IDS


def test_every_claim_has_a_sentence_a_source_and_parts_that_differ() -> None:
    for claim in CLAIMS:
        assert claim.sentence
        assert claim.source
        keys = [(part.subject.label, part.says) for part in claim.parts]
        assert len(set(keys)) == len(keys) > 0, claim.id


PARTS = [(claim, part) for claim in CLAIMS for part in claim.parts]


def catalogued(part: Part) -> tuple[Cell, ...]:
    scenario = CATALOGUE.get(part.scenario)
    cells = scenario.cells(Depth.FULL) if scenario is not None else ()
    return tuple(cell for cell in cells if part.asks(cell.axes))


def test_the_catalogue_asks_for_all_but_the_parts_that_are_known_to_be_missing() -> None:
    missing = {(claim.id, part.scenario) for claim, part in PARTS if not catalogued(part)}
    assert missing == UNASKED


def test_the_catalogue_asks_at_every_value_that_a_part_has_to_be_asked_at() -> None:
    for claim, part in PARTS:
        cells = catalogued(part)
        for axis in part.across if cells else ():
            found = {cell.axes[axis] for cell in cells}
            assert found in (set(part.axes[axis]), {EACH.get(axis)}), claim.id


def test_a_cell_that_asks_in_both_orders_was_asked_in_each() -> None:
    axes = {"option": "reuseport", "protocol": "tcp", "bind": "mixed", "pair": "address"}
    both, first, last = (
        Cell.at("precedence", **axes, position=position) for position in ("both", "first", "last")
    )
    for cells, standing in (
        ({both: "specific"}, Standing.CONFIRMED),
        ({both: "newest"}, Standing.REFUTED),
        ({first: "specific"}, Standing.NOT_TESTED),
        ({first: "specific", last: "specific"}, Standing.CONFIRMED),
    ):
        asked = {cell: measured(word) for cell, word in cells.items()}
        assert found("C27", matrix(a=Guest("Linux", "6.1", asked))).standing is standing


ASKED_MORE = {"spoke_1_flows": 16, "addresses_flows": 64}
"""Counts of a cell whose word by order was confirmed."""

COUNTS: tuple[Mapping[str, int], ...] = (
    {},
    {"survivors_total": 100, "survivors_served": 100},
    {"survivors_total": 100, "survivors_served": 0},
    {"inherited_by_3": 40},
    {"inherited_by_0": 20, "inherited_by_3": 20},
    {"asked": 300, "ever_served": 256},
    {"asked": 300, "ever_served": 300},
    {"lost_during": 0, "alive_lost": 0},
    {"lost_during": 1, "alive_lost": 0},
    {"members_serving": 4},
    ASKED_MORE,
)
"""Counts that distinguish kernels with the same verdict word."""


def possible(part: Part) -> Iterable[Judgement]:
    """Yield the verdicts and counts that cells of the part's scenario may have."""
    for word in CATALOGUE[part.scenario].words:
        for counts in COUNTS:
            for share in (1.0, 0.25):
                yield Judgement(
                    State.MEASURED, word, counts=counts, statistics={"again_same_share": share}
                )


def controls(part: Part) -> dict[Cell, Judgement]:
    """Return the cells that control those of a part, each with a word with which that holds."""
    if part.control is None:
        return {}
    changed = part.control.axes
    return {
        Cell.at(part.scenario, **{**cell.axes, **changed}): measured("refused:EADDRINUSE")
        for cell in catalogued(part)
    }


def guest_of(subject: Subject, cells: Mapping[Cell, Judgement], **settings: int) -> Guest:
    """Return a guest that a part is about."""
    system = "Plan9" if subject.others else subject.systems[0]
    release = ".".join(map(str, subject.since or (1, 0)))
    own = dict([subject.setting] if subject.setting is not None else [])
    return Guest(system, release, cells, {**own, **settings})


@pytest.mark.parametrize(
    ("claim", "part"),
    [(claim, part) for claim, part in PARTS if catalogued(part)],
    ids=lambda value: value.id if isinstance(value, Claim) else value.scenario,
)
def test_every_part_can_be_borne_out_and_contradicted(claim: Claim, part: Part) -> None:
    alone = Claim(claim.id, claim.sentence, claim.source, (part,))
    standings = set()
    for value in (0, 1):
        for judgement in possible(part):
            cells = {**dict.fromkeys(catalogued(part), judgement), **controls(part)}
            guest = guest_of(part.subject, cells)
            if part.subject.setting is None:
                guest = guest_of(part.subject, cells, **{"net.inet.tcp.reuseport_ext": value})
            (one,) = settle([alone], [matrix(a=guest)])
            standings.add(one.standing)
    due = {Standing.REFUTED} if part.subject.others else {Standing.CONFIRMED, Standing.REFUTED}
    assert due <= standings
    assert not (part.subject.others and Standing.CONFIRMED in standings)


# The standings.


def test_a_claim_is_confirmed_by_cells_that_all_agree() -> None:
    one = found("C2", matrix(a=linux("6.1.0-50-cloud-amd64"), b=linux("5.10")))
    assert (one.standing, one.why, one.by) == (Standing.CONFIRMED, None, ())
    assert {cell.entry.guest for cell in one.cells} == {"a", "b"}
    assert len(one.cells) == 16


def test_a_claim_is_refuted_by_cells_that_all_contradict() -> None:
    one = found("C2", matrix(a=linux("6.1", specific="newest", wildcard="oldest")))
    assert one.standing is Standing.REFUTED
    assert not any(cell.agrees for cell in one.cells)


def test_one_counterexample_refutes_though_not_all_was_asked() -> None:
    cells = spread(specific="newest", protocols=("tcp",))
    specific = {cell: one for cell, one in cells.items() if cell.axes["bind"] == "specific"}
    assert found("C2", matrix(a=Guest("Linux", "6.1", specific))).standing is Standing.REFUTED


def test_a_claim_is_mixed_by_the_bind_address() -> None:
    one = found(
        "C7", matrix(a=Guest("FreeBSD", "14.1", spread(specific="newest", wildcard="oldest")))
    )
    assert one.standing is Standing.MIXED
    (by,) = one.by
    assert (by.names, by.agree, by.contradict) == (("bind",), ("wildcard",), ("specific",))


def test_a_claim_is_mixed_by_version_and_says_what_is_not_known() -> None:
    releases = {"5.4.0": "newest", "5.10.0": "newest", "6.1.0-9": "balanced", "6.12": "balanced"}
    guests = {
        f"g{number}": linux(release, specific=word, wildcard=word)
        for number, (release, word) in enumerate(releases.items())
    }
    one = found("C2", matrix(guests))
    assert one.standing is Standing.MIXED
    assert one.by[0].names == ("version",)
    assert one.by[0].contradict == ("5.4.0", "5.10.0")
    old, new = one.parts[0].spans
    assert (old.standing, old.since, old.until, old.after) == (
        Standing.REFUTED,
        "5.4.0",
        "5.10.0",
        None,
    )
    assert (new.standing, new.since, new.until, new.after) == (
        Standing.CONFIRMED,
        "6.1.0-9",
        "6.12",
        "5.10.0",
    )


def test_a_release_before_a_claims_first_tells_since_when_but_does_not_decide() -> None:
    lb = {"option": "reuseport_lb"}
    old = Guest("FreeBSD", "11.4", spread(specific="newest", wildcard="newest", **lb))
    new = Guest("FreeBSD", "13.2-RELEASE-p1", spread(**lb))
    part = found("C1", matrix(a=old, b=new)).parts[2]
    assert part.part.subject.label == "FreeBSD ≥ 12"
    assert part.standing is Standing.CONFIRMED
    assert {cell.entry.guest for cell in part.cells} == {"b"}
    assert [span.since for span in part.spans] == ["11.4", "13.2-RELEASE-p1"]


def test_a_kernel_that_changed_its_mind_twice_has_three_spans() -> None:
    words = {"1.0": "balanced", "2.0": "newest", "3.0": "balanced"}
    guests = {
        f"g{release[0]}": Guest("NetBSD", release, spread(specific=word, wildcard=word))
        for release, word in words.items()
    }
    spans = found("C25", matrix(guests)).parts[0].spans
    assert [span.standing for span in spans] == [
        Standing.REFUTED,
        Standing.CONFIRMED,
        Standing.REFUTED,
    ]


def test_what_cells_do_not_tell_apart_is_a_doubt() -> None:
    cells = {
        Cell.at("distribution", option="reuseport", protocol="tcp", family=f, bind=b): measured(w)
        for f, b, w in (("ipv4", "specific", "newest"), ("ipv6", "wildcard", "oldest"))
    }
    one = found("C7", matrix(a=Guest("FreeBSD", "14.1", cells)))
    assert sorted(by.names for by in one.by) == [("bind",), ("family",)]


def test_a_setting_tells_guests_apart() -> None:
    cells = catalogued(next(part for claim, part in PARTS if claim.id == "C13"))
    name = "net.ipv4.tcp_migrate_req"
    off = Guest("Linux", "6.1", dict.fromkeys(cells, measured("reset")), {name: 0})
    on = Guest("Linux", "6.1", dict.fromkeys(cells, measured("inherited")), {name: 1})
    one = found("C13", matrix(a=off, b=on))
    assert one.standing is Standing.MIXED
    assert one.by[0].names == (name,)
    saved = found("C14", matrix(a=off, b=on)).parts[0]
    assert (saved.standing, {cell.entry.guest for cell in saved.cells}) == (
        Standing.CONFIRMED,
        {"b"},
    )
    assert found("C14", matrix(a=off)).parts[0].standing is Standing.NOT_TESTED


def under(value: int, word: str) -> Mapping[Cell, Judgement]:
    """Return the cells that are asked with request migration off or on; claims are about TCP."""
    setting = ("net.ipv4.tcp_migrate_req", str(value))
    every = CATALOGUE["failure-queued"].cells(Depth.FULL)
    plain = (cell for cell in every if cell.axes["protocol"] == "tcp")
    return {cell: measured(word) for cell in plain if cell.setting == setting}


def test_a_cell_that_sets_a_tunable_speaks_for_that_value_alone() -> None:
    """It does so whatever the guest's own setting is, and never decides claims about that."""
    cells = {**under(0, "reset"), **under(1, "inherited")}
    guest = Guest("Linux", "6.1", cells, {"net.ipv4.tcp_migrate_req": 0})
    saved = found("C14", matrix(a=guest)).parts[0]
    assert saved.standing is Standing.CONFIRMED
    assert {cell.entry.cell for cell in saved.cells} == set(under(1, "inherited"))
    assert found("C13", matrix(a=guest)).parts[0].standing is Standing.NOT_TESTED
    lost = Guest("Linux", "6.1", under(1, "reset"))
    assert found("C14", matrix(a=lost)).parts[0].standing is Standing.REFUTED


def test_a_default_is_told_only_by_a_guest_that_nobody_else_has_set_up() -> None:
    switch = {"net.inet.tcp.reuseport_ext": 1}
    for provider, standing in (("qemu", Standing.CONFIRMED), ("ssh", Standing.NOT_TESTED)):
        guest = Guest("DragonFly", "6.4-RELEASE", spread(), switch, provider)
        assert found("C5", matrix(a=guest)).parts[2].standing is standing


def test_a_claim_of_two_parts_that_differ_is_mixed_by_question() -> None:
    cells = {cell: measured("shared") for cell in CATALOGUE["sharing"].cells(Depth.FULL)}
    for cell in cells:
        if "after-bind" not in cell.axes["case"]:
            cells[cell] = measured("refused:EADDRINUSE")
    one = found("C3", matrix(a=Guest("Linux", "6.1", cells)))
    assert (one.standing, one.by[0].names) == (Standing.MIXED, ("question",))


def test_a_claim_about_two_systems_that_differ_is_mixed_by_system() -> None:
    newest = dict.fromkeys(spread(), measured("newest", **ASKED_MORE))
    guests = {
        name: Guest(system, "10.0", newest if name != "b" else spread())
        for name, system in zip("abcd", ("FreeBSD", "NetBSD", "OpenBSD", "Darwin"), strict=True)
    }
    one = found("C10", matrix(guests))
    assert (one.standing, one.by[0].names) == (Standing.MIXED, ("system",))
    assert one.by[0].contradict == ("NetBSD",)


# NOT TESTED, and why.


@pytest.mark.parametrize("state", [state for state in State if state is not State.MEASURED])
def test_what_is_not_measured_does_not_test(state: State) -> None:
    cells = dict.fromkeys(spread(), Judgement(state, why="so"))
    one = found("C2", matrix(a=Guest("Linux", "6.1", cells)))
    assert one.standing is Standing.NOT_TESTED
    assert one.why == f"Linux ≥ 3.9: 8 {state}"
    assert one.cells == ()


def test_nothing_at_all_tests_nothing() -> None:
    assert {one.standing for one in settle(CLAIMS, [])} == {Standing.NOT_TESTED}
    assert all(part.why for one in settle(CLAIMS, []) for part in one.parts)


def test_the_specific_address_alone_confirms_nothing() -> None:
    cells = {cell: one for cell, one in spread().items() if cell.axes["bind"] == "specific"}
    one = found("C2", matrix(a=Guest("Linux", "6.1", cells)))
    assert one.standing is Standing.NOT_TESTED
    assert one.why is not None
    assert "nothing was measured at bind=wildcard" in one.why
    assert len(one.parts[0].cells) == 4


def test_halves_from_two_guests_do_not_make_a_whole() -> None:
    halves = {
        bind: {cell: one for cell, one in spread().items() if cell.axes["bind"] == bind}
        for bind in ("specific", "wildcard")
    }
    apart = matrix(
        a=Guest("Linux", "6.1", halves["specific"]), b=Guest("Linux", "6.2", halves["wildcard"])
    )
    assert found("C2", apart).standing is Standing.NOT_TESTED
    runs = [matrix(run=bind, a=Guest("Linux", "6.1", cells)) for bind, cells in halves.items()]
    assert found("C2", *runs).standing is Standing.CONFIRMED


def test_a_release_that_is_not_known_is_neither_before_nor_after() -> None:
    one = found("C2", matrix(a=Guest("Linux", None, spread())))
    assert one.standing is Standing.NOT_TESTED
    assert one.why == "Linux ≥ 3.9: only other releases or settings of this system were measured"


@pytest.mark.parametrize(
    ("name", "guest", "why"),
    [
        ("C25", Guest("Linux", "6.1", spread()), "NetBSD: no guest of this system was run"),
        (
            "C2",
            Guest("Linux", "2.6.32", spread()),
            "only other releases or settings of this system were measured",
        ),
        ("C27", Guest("Linux", "6.1", spread()), "the run did not ask precedence option=reuseport"),
        ("C24", Guest("Linux", "6.1", spread()), "no scenario asks this yet: sharing"),
    ],
)
def test_the_reason_is_the_nearest_one(name: str, guest: Guest, why: str) -> None:
    one = found(name, matrix(a=guest))
    assert one.standing is Standing.NOT_TESTED
    assert one.why is not None
    assert why in one.why


def test_a_scenario_that_comes_later_settles_what_waits_for_it() -> None:
    cell = Cell.at("failure-handshake", option="reuseport", protocol="tcp", failure="kill")
    settings = {"net.ipv4.tcp_migrate_req": 1}
    guest = Guest("Linux", "6.1", {cell: measured("completed")}, settings)
    assert found("C14", matrix(a=guest)).parts[1].standing is Standing.CONFIRMED


def test_others_handshakes_were_reset_up_to_a_release() -> None:
    axes = {"option": "reuseport", "protocol": "tcp", "failure": "kill", "ack": "at-once"}
    places = [{**axes, "bind": bind} for bind in ("specific", "wildcard")]
    every = [Cell.at("failure-handshake", **place) for place in places]
    oldest = [Cell.at("failure-handshake", **place, member="first") for place in places]
    joins = Cell.at("failure-handshake", option="reuseport", protocol="tcp", change="join")
    old = {
        **dict.fromkeys(every, measured("collapsed:43/72")),
        **dict.fromkeys(oldest, measured("reset")),
    }
    new = {**dict.fromkeys(every, measured("reset")), joins: measured("kept")}
    part = found("A2", matrix(a=Guest("Linux", "4.3.0", old))).parts[2]
    assert part.standing is Standing.CONFIRMED
    both = matrix(a=Guest("Linux", "4.3.0", old), b=Guest("Linux", "4.4.155", new))
    part = found("A2", both).parts[2]
    assert part.standing is Standing.MIXED
    assert next(one.names for one in part.by) == ("version",)


def test_other_systems_can_refute_but_not_confirm_for_all_of_them() -> None:
    cells = catalogued(next(part for claim, part in PARTS if claim.id == "A9"))
    for verdict, standing in (
        ("undefined", Standing.NOT_TESTED),
        ("shared", Standing.REFUTED),
    ):
        guest = Guest("OpenBSD", "7.6", dict.fromkeys(cells, measured(verdict)))
        assert found("A9", matrix(a=guest)).standing is standing


def test_a_part_that_was_confirmed_does_not_confirm_the_claim() -> None:
    one = found("C13", matrix(a=Guest("Linux", "6.1", queued("reset"))))
    assert [part.standing for part in one.parts] == [Standing.CONFIRMED, Standing.NOT_TESTED]
    assert (one.standing, one.why) == (
        Standing.NOT_TESTED,
        "DragonFly: no guest of this system was run",
    )


def test_a_part_that_was_refuted_refutes_the_claim() -> None:
    one = found("C13", matrix(a=Guest("Linux", "6.1", queued("inherited"))))
    assert one.standing is Standing.REFUTED


def queued(word: str) -> dict[Cell, Judgement]:
    return dict.fromkeys(CATALOGUE["failure-queued"].cells(Depth.FULL), measured(word))


@pytest.mark.parametrize(
    ("counts", "standing"),
    [
        ({"inherited_by_3": 40}, Standing.CONFIRMED),
        ({"inherited_by_2": 40}, Standing.NOT_TESTED),
        ({"inherited_by_0": 40}, Standing.REFUTED),
        ({"inherited_by_0": 20, "inherited_by_3": 20}, Standing.REFUTED),
    ],
)
def test_who_inherits_is_told_by_the_counts(counts: dict[str, int], standing: Standing) -> None:
    cells = dict.fromkeys(queued("inherited"), measured("inherited", **counts))
    assert found("C15", matrix(a=Guest("DragonFly", "6.4", cells))).standing is standing


# The property.

SYSTEMS = ("Linux", "FreeBSD", "DragonFly", "NetBSD", "Darwin", "OpenBSD", "Windows")

EVERY = [cell for scenario in CATALOGUE.values() for cell in scenario.cells(Depth.QUICK)]

STATES = st.sampled_from([state for state in State if state is not State.MEASURED])


@st.composite
def guests(draw: st.DrawFn) -> Guest:
    """Draw a guest with any results for any cells."""
    chosen = draw(st.lists(st.sampled_from(EVERY), unique=True, max_size=24))
    cells = {}
    for cell in chosen:
        words = list(CATALOGUE[cell.scenario].words)
        said = st.builds(Judgement, st.just(State.MEASURED), st.sampled_from(words))
        cells[cell] = draw(st.one_of(said, st.builds(Judgement, STATES, why=st.just("so"))))
    release = draw(st.sampled_from(["1.0", "3.9", "6.1", "12.0", "14.1", None, "x"]))
    return Guest(draw(st.sampled_from(SYSTEMS)), release, cells)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcde"), guests(), max_size=5))
def test_no_claim_about_a_system_that_was_not_measured_is_ever_more_than_not_tested(
    drawn: dict[str, Guest],
) -> None:
    told = {
        one.system
        for one in drawn.values()
        if any(judgement.state is State.MEASURED for judgement in one.cells.values())
    }
    for one in settle(CLAIMS, [matrix(drawn)]):
        unmeasured = [
            part
            for part in one.parts
            if not (
                told - set(part.part.subject.systems)
                if part.part.subject.others
                else told & set(part.part.subject.systems)
            )
        ]
        for part in unmeasured:
            assert (part.standing, part.cells) == (Standing.NOT_TESTED, ())
        if unmeasured:
            assert one.standing is not Standing.CONFIRMED
        if len(unmeasured) == len(one.parts):
            assert one.standing is Standing.NOT_TESTED
        for cell in one.cells:
            assert cell.entry.state is State.MEASURED


# Real kernels.


def test_the_recordings_settle_the_claims_about_linux_and_no_others() -> None:
    one = recorded()
    assert one.guests[GUEST]["system"] == "Linux"
    standings = {found.claim.id: found.standing for found in settle(CLAIMS, [one])}
    tested = {name: now for name, now in standings.items() if now is not Standing.NOT_TESTED}
    assert tested == {
        "A1": Standing.CONFIRMED,
        "A2": Standing.MIXED,
        "C2": Standing.CONFIRMED,
        "C3": Standing.MIXED,
        "C27": Standing.CONFIRMED,
        "C28": Standing.MIXED,
        "C30": Standing.CONFIRMED,
        "C31": Standing.MIXED,
    }


# Releases, and what separates.


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.1.0-50-cloud-amd64", (6, 1, 0)),
        ("14.1-RELEASE-p5", (14, 1)),
        ("10.99.12", (10, 99, 12)),
        ("23.6.0", (23, 6, 0)),
        ("7", (7,)),
        ("", ()),
        (None, ()),
        ("rolling", ()),
        ("9" * 5000, ()),
        ("\u0663.\u0661", ()),
    ],
)
def test_a_release_is_the_numbers_that_it_begins_with(
    release: str | None, expected: tuple[int, ...]
) -> None:
    assert numbers(release) == expected


@pytest.mark.parametrize(
    ("release", "inside"),
    [
        ((12,), True),
        ((12, 0), True),
        ((11, 9), False),
        ((13, 2), True),
        ((13, 3), False),
        ((), False),
    ],
)
def test_a_range_has_its_first_release_and_not_its_last(
    release: tuple[int, ...], inside: bool
) -> None:
    assert Subject("x", ("x",), since=(12,), before=(13, 3)).reaches(release) is inside


def test_two_names_separate_where_neither_does_alone() -> None:
    points: list[Point] = [
        ({"bind": bind, "family": family, "guest": f"{bind}{family}"}, bind == family)
        for bind in ("1", "2")
        for family in ("1", "2")
    ]
    assert [one.names for one in separators(points)] == [("bind", "family")]


def test_a_guest_is_named_only_if_nothing_else_tells() -> None:
    points: list[Point] = [({"bind": "1", "guest": name}, name == "a") for name in ("a", "b")]
    assert [one.names for one in separators(points)] == [("guest",)]
    same: list[Point] = [({"bind": "1"}, True), ({"bind": "1"}, False)]
    assert separators(same) == ()
