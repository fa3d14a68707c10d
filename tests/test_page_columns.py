"""The columns of the page: systems in a fixed order, releases by their numbers."""

from test_report import HOSTILE, cell, matrix, word

from harness.matrix import Facts, Matrix
from harness.model import Judgement, State
from harness.report.page_columns import page_columns, page_systems


def guests(**facts: Facts) -> Matrix:
    return matrix({(name, cell()): word("balanced") for name in facts}, **facts)


def heads(one: Matrix) -> list[tuple[str, str]]:
    return [(column.system, column.release) for column in page_columns(one)]


def test_systems_come_in_their_order_and_releases_by_number() -> None:
    one = guests(
        a={"system": "NetBSD", "release": "7.99.10"},
        b={"system": "Linux", "release": "6.12.1-x"},
        c={"system": "Linux", "release": "6.1.0-50"},
        d={"system": "Abc", "release": "rolling"},
    )
    assert heads(one) == [
        ("Linux", "6.1"),
        ("Linux", "6.12"),
        ("NetBSD", "7.99"),
        ("Abc", "rolling"),
    ]
    assert [(one.name, one.columns) for one in page_systems(page_columns(one))] == [
        ("Linux", 2),
        ("NetBSD", 1),
        ("Abc", 1),
    ]


def test_guests_that_look_alike_keep_their_names() -> None:
    one = guests(
        a={"system": "Linux", "release": "6.1.2"},
        b={"system": "Linux", "release": "6.1.9"},
        c={},
    )
    assert heads(one) == [("Linux", "a"), ("Linux", "b"), ("unknown system", "c")]


def test_a_guest_that_was_not_run_has_no_answer_and_hostile_facts_are_made_visible() -> None:
    one = matrix(
        {(HOSTILE, cell()): Judgement(State.NOT_RUN, why="no image")},
        **{HOSTILE: {"system": HOSTILE, "release": HOSTILE}},
    )
    (column,) = page_columns(one)
    assert not column.answered
    assert column.guest == HOSTILE
    for text in (column.name, column.system, column.release, column.details):
        assert text.isprintable()
