"""The answers for an application: spans of releases that cover only what was measured."""

import pytest
from test_formats import QUEUED, kernels
from test_report import matrix, word

from harness.matrix import Matrix
from harness.model import Cell, Depth, Judgement, State
from harness.report.choices import QUESTIONS, Answers, Choice
from harness.scenarios import CATALOGUE

QUEUE = next(one for one in QUESTIONS if one.name == "QUEUE_AT_KILL")


def spans(one: Matrix, system: str = "Linux") -> list[tuple[str, str, str]]:
    """Return first release, last release and words (`-` if none) of a killed worker's queue."""
    return [
        (span.told[0].release, span.told[-1].release, " ".join(sorted(span.words)) or "-")
        for span in Answers(one).spans(system, QUEUE, "reuseport")
    ]


def at(*points: tuple[str, str]) -> Cell:
    return Cell.at(QUEUED.scenario, **{**dict(QUEUED.points), **dict(points)})


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_the_catalogue_has_cells_that_answer_each_question(question: Choice) -> None:
    """Without this test, a renamed axis could make every answer unknown unnoticed."""
    plain = [
        cell
        for cell in CATALOGUE[question.scenario].cells(Depth.FULL)
        if {**question.axes, "option": "reuseport"}.items() <= cell.axes.items()
    ]
    said = next(iter(CATALOGUE[question.scenario].words))
    one = matrix({("a", cell): word(said) for cell in plain})
    (span,) = Answers(one).spans("Linux", question, "reuseport")
    assert span.words == {said}


def test_releases_are_ordered_by_their_numbers_and_joined_where_they_agree() -> None:
    said = {"6.10": "reset", "6.9": "reset:1/4", "6.12": "inherited", "5.10.2": "reset"}
    assert spans(kernels(said)) == [("5.10.2", "6.10", "reset"), ("6.12", "6.12", "inherited")]


@pytest.mark.parametrize("state", [State.INCONCLUSIVE, State.NOT_APPLICABLE])
def test_nothing_is_claimed_over_a_kernel_that_gave_no_verdict(state: State) -> None:
    said = {"6.1": "reset", "6.5": state, "6.9": "reset"}
    assert spans(kernels(said)) == [
        ("6.1", "6.1", "reset"),
        ("6.5", "6.5", "-"),
        ("6.9", "6.9", "reset"),
    ]


@pytest.mark.parametrize("state", [State.NOT_RUN, State.INFRASTRUCTURE])
def test_our_own_failure_says_nothing_of_a_kernel(state: State) -> None:
    said = {"6.1": "reset", "6.5": state, "6.9": "reset"}
    assert spans(kernels(said)) == [("6.1", "6.9", "reset")]


def test_a_system_that_never_gave_a_verdict_has_no_span() -> None:
    assert spans(kernels({"6.1": State.NOT_APPLICABLE, "6.5": State.INCONCLUSIVE})) == []
    assert spans(kernels({"14.1": "reset"}, system="FreeBSD")) == []


def test_kernels_of_one_release_are_heard_together() -> None:
    assert spans(kernels({"6.1.2": "reset", "6.1.9": "inherited"})) == [
        ("6.1.2", "6.1.9", "inherited reset")
    ]
    assert spans(kernels({"6.1.2": "reset", "6.1.9": State.INCONCLUSIVE})) == [
        ("6.1.2", "6.1.2", "reset")
    ]


def test_places_that_differ_are_mixed_and_special_cells_are_not_heard() -> None:
    wildcard, tuned = at(("bind", "wildcard")), at(("tunables", "net.ipv4.tcp_migrate_req=1"))
    said = {("a", QUEUED): word("reset"), ("a", tuned): word("inherited")}
    assert spans(matrix(said)) == [("6.1", "6.1", "reset")]
    assert spans(matrix({**said, ("a", wildcard): word("closed")})) == [
        ("6.1", "6.1", "closed reset")
    ]


def test_a_first_member_that_fails_is_a_special_case_of_handshakes_alone() -> None:
    kill = Cell.at("failure-handshake", option="reuseport", protocol="tcp", failure="kill")
    first = Cell.at(kill.scenario, **kill.axes, member="first")
    one = matrix({("a", kill): word("collapsed:42/72"), ("a", first): word("reset")})
    asked = next(one for one in QUESTIONS if one.name == "HANDSHAKE_AT_KILL")
    (span,) = Answers(one).spans("Linux", asked, "reuseport")
    assert span.words == {"collapsed"}


def test_a_place_without_a_verdict_does_not_silence_the_others() -> None:
    said = {
        ("a", QUEUED): word("reset"),
        ("a", at(("bind", "wildcard"))): Judgement(State.INCONCLUSIVE, why="lossy"),
    }
    assert spans(matrix(said)) == [("6.1", "6.1", "reset")]


def test_a_word_that_this_version_does_not_know_is_no_answer() -> None:
    said = {"6.1": "reset", "6.2": "evil*/", "6.3": "reset"}
    assert [words for _, _, words in spans(kernels(said))] == ["reset", "-", "reset"]


@pytest.mark.parametrize("release", ["", "rolling", "6", "10000.1", "6.10000", "x6.1"])
def test_a_release_that_cannot_be_compared_says_nothing(release: str) -> None:
    assert spans(kernels({release: "reset"})) == []
