"""Sentences about a cell: they come from the catalogue, and their numbers from the cell."""

import pytest
from recorded_matrix import recorded
from test_report import HOSTILE

from harness.matrix import Entry
from harness.model import Depth, State
from harness.report.account import PHRASES, PLACEHOLDER, account, filled, sentence
from harness.scenarios import CATALOGUE


def entry(scenario: str, verdict: str | None = None, **more: object) -> Entry:
    axes = {"option": "reuseport", "protocol": "tcp", "failure": "kill"}
    axes |= {name: str(value) for name, value in more.items() if name != "counts"}
    counts = more.get("counts")
    state = State.INCONCLUSIVE if verdict is None else State.MEASURED
    why = "because" if verdict is None else None
    return Entry(
        "a", scenario, axes, state, verdict, why, counts if isinstance(counts, dict) else {}
    )


def told(one: Entry) -> str:
    return filled(account(one).told, one.counts)


QUEUED = {"victim_total": 43, "victim_reset": 43, "survivors_total": 117, "survivors_served": 117}


def test_a_cell_is_told_with_its_own_numbers() -> None:
    one = entry("failure-queued", "reset", counts=QUEUED)
    assert told(one) == (
        "A worker was killed with 43 connections waiting in its queue. All 43 were reset. "
        "Of the other workers', all 117 were served."
    )
    assert account(one).means.startswith("Every reload that closes a listener")
    assert account(one).do.startswith("Drain first, pass the descriptor")
    fewer = {**QUEUED, "victim_reset": 0, "survivors_served": 100}
    assert told(entry("failure-queued", "reset", counts=fewer)).endswith(
        "None of 43 were reset. Of the other workers', 100 of 117 were served."
    )


def test_a_sentence_without_its_numbers_is_left_out() -> None:
    alone = {"victim_total": 43, "victim_reset": 43, "survivors_total": 0, "survivors_served": 0}
    assert told(entry("failure-queued", "reset", counts=alone)).endswith("All 43 were reset.")
    sense = CATALOGUE["failure-queued"].words["reset"]
    bare = told(entry("failure-queued", "reset:1/4"))
    assert bare == f"{CATALOGUE['failure-queued'].sentence} {sentence(sense.happened)}"


def test_a_setting_and_a_change_are_said() -> None:
    counts = {"flows": 400, "survivors_total": 300, "survivors_moved": 300}
    one = entry("failure-flows", "reshuffled", change="leave", member="middle", counts=counts)
    assert told(one).startswith("The middle worker left, and the same 400 clients called again.")
    one = entry("failure-queued", "inherited", tunables="a.b=1", counts=QUEUED)
    assert told(one).startswith("With a.b=1: A worker was killed")


def test_a_question_that_does_not_arise_says_so_and_no_more() -> None:
    counts = {"flows": 400, "survivors_total": 0, "survivors_moved": 0}
    one = account(entry("failure-flows", "minimal", change="join", counts=counts))
    assert "does not arise" in one.told
    assert (one.means, one.do) == ("", "")


@pytest.mark.parametrize("state", [one for one in State if one is not State.MEASURED])
def test_a_cell_without_a_verdict_says_why_not(state: State) -> None:
    one = Entry("a", "drain", {"way": "close"}, state, None, "because")
    assert account(one).told.startswith("Workers retire")
    assert account(one).means == ""


@pytest.mark.parametrize("text", [HOSTILE, "{flows}", "{victim_total/flows+}", "<b>"])
def test_a_files_text_is_no_sentence(text: str) -> None:
    for one in (
        entry(text, text),
        entry("failure-queued", text, counts=QUEUED),
        entry("failure-queued", "reset", tunables=text, change=text, counts=QUEUED),
        entry("failure-flows", "reshuffled", change=text, member=text),
        Entry("a", "fallback", {"order": text, "failure": text}, State.MEASURED, "next", None),
    ):
        assert text not in told(one)


def test_every_recorded_cell_is_told_in_whole_sentences() -> None:
    for one in recorded().cells:
        text = told(one)
        assert text[0].isupper() or text[0].isdigit()
        assert text[-1] in ".?"
        assert "{" not in text
        assert "  " not in text


@pytest.mark.parametrize("scenario", CATALOGUE)
def test_every_value_of_an_axis_that_is_told_has_its_phrase(scenario: str) -> None:
    """An axis has a phrase for each value or for none, so that no sentence has a bare value."""
    one = CATALOGUE[scenario]
    assert one.done.endswith(".")
    told = {match[1] for match in PLACEHOLDER.finditer(one.done)} & PHRASES.keys()
    for cell in one.cells(Depth.FULL):
        for axis in told & cell.axes.keys():
            assert cell.axes[axis] in PHRASES[axis]
