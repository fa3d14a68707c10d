"""The answers table: it says what was measured, where, and nothing over what was not."""

import pytest
from recorded_matrix import recorded
from test_formats import QUEUED, kernels
from test_report import matrix, word

from harness.matrix import Matrix
from harness.model import Cell, Depth, Judgement, State
from harness.report.answer_questions import GROUPS, WAYS, AskedRow
from harness.report.answers import Answer, AnswerKind, AnswerTable, answers
from harness.scenarios import CATALOGUE
from harness.scenarios.sense import DEPENDS, LOSSLESS, NOTICED

QUEUE = "connections waiting in its queue"

OTHERS = "the others' open connections"

ROWS = tuple(row for group in GROUPS for row in group.rows)

SETTLED = Cell.at("drain", option="reuseport", protocol="tcp", family="ipv4", bind="specific")

MOOT = Judgement(State.NOT_APPLICABLE, why="one served all", counts={"survivors_total": 0})


def established(**axes: str) -> Cell:
    own = {"protocol": "tcp", "family": "ipv4", "bind": "specific", "failure": "kill"}
    return Cell.at("failure-established", **{"option": "reuseport", **own, **axes})


def found(table: AnswerTable, asks: str, column: int = 0) -> tuple[Answer, ...]:
    rows = [row for group in table.groups for row in group.rows if row.asked.asks == asks]
    return rows[0].answers[column]


def said(one: Matrix, asks: str = QUEUE, column: int = 0) -> list[str]:
    """Return the answers to a question as `releases: words`, or their kind without words."""
    return [
        f"{answer.span}: {' '.join(word.word for word in answer.said) or answer.kind}"
        for answer in found(answers(one), asks, column)
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.scenario} {row.asks}")
def test_the_catalogue_has_cells_that_answer_each_question(row: AskedRow) -> None:
    """Without this test, a renamed axis could leave a row empty unnoticed."""
    wanted = {**row.axes, "option": "reuseport"}.items()
    cells = [
        one
        for depth in Depth
        for one in CATALOGUE[row.scenario].cells(depth)
        if wanted <= one.axes.items()
    ]
    name = next(iter(CATALOGUE[row.scenario].words))
    table = answers(matrix({("a", one): word(name) for one in cells}))
    (group,) = [some for some in table.groups if row in [one.asked for one in some.rows]]
    (own,) = [one for one in group.rows if one.asked == row]
    assert [word.word for answer in own.answers[0] for word in answer.said] == [name]


def test_releases_with_the_same_answer_share_a_span_and_the_newest_comes_first() -> None:
    given = {"6.10": "reset", "6.9": "reset:1/4", "6.12.1-x": "inherited", "5.10.2": "reset"}
    dash = "\N{EN DASH}"
    assert said(kernels(given)) == ["6.12: inherited", f"5.10 {dash} 6.10: reset"]
    assert said(kernels({"6.1": "reset", "6.2": "reset"})) == [": reset"]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (State.INCONCLUSIVE, "no clear answer"),
        (State.NOT_APPLICABLE, "cannot be asked"),
        ("evil*/", "no clear answer"),
    ],
)
def test_a_span_ends_at_a_release_without_an_answer(given: State | str, kind: str) -> None:
    one = kernels({"6.1": "reset", "6.5": given, "6.9": "reset"})
    assert said(one) == ["6.9: reset", f"6.5: {kind}", "6.1: reset"]


def test_a_release_that_was_never_asked_ends_a_span_too() -> None:
    one = kernels({"6.1": "reset", "6.9": "reset"})
    other = matrix(
        {
            **{(cell.guest, cell.cell): cell.judgement for cell in one.cells},
            ("b", SETTLED): word("lossless"),
        },
        **{**one.guests, "b": {"system": "Linux", "release": "6.5"}},
    )
    assert said(other) == ["6.9: reset", "6.5: not asked", "6.1: reset"]


def test_what_does_not_arise_is_not_what_was_not_asked() -> None:
    one = matrix({("a", established()): MOOT, ("a", QUEUED): word("reset")})
    assert said(one, OTHERS) == [": does not arise"]
    assert said(one, WAYS[0].asks) == [": not asked"]
    assert found(answers(one), OTHERS)[0].grade is None


def test_a_flow_that_could_not_move_is_no_flow_that_stayed() -> None:
    flows = Cell.at(
        "failure-flows", option="reuseport", protocol="udp", family="ipv4", bind="specific",
        failure="close", change="leave", member="last",
    )  # fmt: skip
    none = Judgement(State.MEASURED, "minimal", counts={"survivors_total": 0})
    some = Judgement(State.MEASURED, "minimal", counts={"survivors_total": 90})
    asks = "the others' UDP or QUIC flows"
    assert said(matrix({("a", flows): none, ("a", QUEUED): word("reset")}), asks) == [
        ": does not arise"
    ]
    assert said(matrix({("a", flows): some}), asks) == [": minimal"]


def test_a_guest_that_was_asked_nothing_ends_no_span() -> None:
    one = kernels({"6.1": "reset", "6.9": "reset"})
    facts = {**one.guests, "b": {"system": "Linux", "release": "6.5"}}
    cells = {(cell.guest, cell.cell): cell.judgement for cell in one.cells}
    cells["b", SETTLED] = Judgement(State.NOT_RUN, why="no image")
    assert said(matrix(cells, **facts)) == [": reset"]


def test_a_word_without_the_deciding_axis_holds_otherwise() -> None:
    usual, last = (Cell.at("failure-queued", **{**QUEUED.axes, **more})
                   for more in ({}, {"member": "last"}))  # fmt: skip
    one = matrix({("a", usual): word("reset"), ("a", last): word("closed")})
    (answer,) = found(answers(one), QUEUE)
    assert [(word.word, word.where) for word in answer.said] == [
        ("closed", "leaver last"),
        ("reset", "otherwise"),
    ]


def at(family: str, bind: str) -> Cell:
    return Cell.at("distribution", option="reuseport", protocol="tcp", family=family, bind=bind)


def places(words: dict[tuple[str, str], str]) -> dict[str, str]:
    """Return where each word holds that several listeners were answered with."""
    one = matrix({("a", at(*place)): word(name) for place, name in words.items()})
    (answer,) = found(answers(one), "several workers listen (TCP)")
    return {word.word: word.where for word in answer.said}


def test_several_words_say_where_each_holds() -> None:
    four = [(family, bind) for family in ("ipv4", "ipv6") for bind in ("specific", "wildcard")]
    assert places(dict.fromkeys(four, "newest")) == {"newest": ""}
    by_bind = {place: "newest" if place[1] == "wildcard" else "balanced" for place in four}
    assert places(by_bind) == {"balanced": "specific", "newest": "wildcard"}
    words = {("ipv6", "wildcard"): "oldest", ("ipv6", "specific"): "newest"}
    both = {place: words.get(place, "balanced") for place in four}
    assert places(both) == {
        "balanced": "ipv4",
        "newest": "ipv6 · specific",
        "oldest": "ipv6 · wildcard",
    }


def test_several_words_depend_unless_all_are_as_good() -> None:
    def graded(*words: str) -> object:
        binds = ("specific", "wildcard", "mixed")
        cells = {
            ("a", Cell.at("failure-queued", **{**QUEUED.axes, "bind": bind})): word(name)
            for bind, name in zip(binds, words, strict=False)
        }
        return found(answers(matrix(cells)), QUEUE)[0].grade

    assert graded("reset") is NOTICED
    assert graded("inherited", "inherited") is LOSSLESS
    assert graded("reset", "closed") is NOTICED
    assert graded("reset", "inherited") is DEPENDS


def test_an_option_that_a_system_lacks_has_no_column() -> None:
    lacking = Cell.at("failure-queued", **{**QUEUED.axes, "option": "reuseport_lb"})
    none = Judgement(State.NOT_APPLICABLE, why="no SO_REUSEPORT_LB in this system's headers")
    one = matrix({("a", QUEUED): word("reset"), ("a", lacking): none})
    assert [column.option for column in answers(one).columns] == ["reuseport"]
    assert answers(matrix({("a", lacking): none})) == AnswerTable((), ())


def test_a_guest_of_unknown_release_or_system_says_nothing() -> None:
    one = matrix({("a", QUEUED): word("reset")}, a={"system": "Linux"})
    assert answers(one).columns == ()
    rolling = matrix({("a", QUEUED): word("reset")}, a={"system": "Z", "release": "rolling"})
    assert answers(rolling).columns[0].releases == ("rolling",)


def test_a_group_is_summed_up_and_a_way_is_safe_only_if_every_release_was_measured() -> None:
    drain = Cell.at("drain", **SETTLED.axes, way="pass")
    close = Cell.at("drain", **SETTLED.axes, way="close")
    linux = {"system": "Linux", "release": "6.1"}
    bsd = {"system": "FreeBSD", "release": "14.0"}
    one = matrix(
        {
            ("a", QUEUED): word("reset"),
            ("a", established()): word("unaffected"),
            ("a", drain): word("lossless"),
            ("b", drain): word("lossless"),
            ("a", close): word("lost:1/9"),
        },
        a=linux,
        b=bsd,
    )
    table = answers(one)
    lost, ways = table.groups[1], table.groups[2]
    assert [summary and summary.text for summary in lost.summaries] == [
        "clients notice 1 of 2",
        None,
    ]
    assert [summary and summary.text for summary in ways.summaries] == ["pass it on"] * 2
    assert [row.asked.brief for row in ways.rows if row.safe] == ["pass it on"]
    older = matrix(
        {(cell.guest, cell.cell): cell.judgement for cell in one.cells}
        | {("c", QUEUED): word("reset")},
        a=linux,
        b=bsd,
        c={"system": "Linux", "release": "4.3"},
    )
    ways = answers(older).groups[2]
    assert [summary and summary.text for summary in ways.summaries] == [
        "pass it on 6.1",
        "pass it on",
    ]
    assert not any(row.safe for row in ways.rows)


def test_every_answer_is_that_of_its_cells() -> None:
    table = answers(recorded())
    for group in table.groups:
        for row in group.rows:
            for answer in row.answers[0]:
                words = [cell for word in answer.said for cell in word.cells]
                assert {id(cell) for cell in words} <= {id(cell) for cell in answer.cells}
                assert bool(answer.said) is (answer.kind is AnswerKind.MEASURED)
                for one in answer.said:
                    assert one.cells
                    assert all(str(cell.verdict).startswith(one.word) for cell in one.cells)
