"""A question is one line that cannot be read in two ways."""

import pytest

from harness.agent import Question


def test_a_question_is_one_line() -> None:
    question = Question("c3", "sharing", {"option": "reuseport+reuseport_lb", "case": "both"})
    assert question.line == "c3 sharing option=reuseport+reuseport_lb case=both\n"


def test_a_value_may_name_a_tunable_and_its_value() -> None:
    question = Question("c3", "distribution", {"tunables": "net.ipv4.tcp_migrate_req=1"})
    assert question.line == "c3 distribution tunables=net.ipv4.tcp_migrate_req=1\n"
    with pytest.raises(ValueError, match="not a word"):
        _ = Question("c3", "distribution", {"tunables=a": "1"}).line


@pytest.mark.parametrize("word", ["", "a b", "a\nb", "$x", "'", "\u00e9"])
def test_a_word_that_would_need_quotes_is_a_bug(word: str) -> None:
    for question in (
        Question(word, "x"),
        Question("c", word),
        Question("c", "x", {word: "1"}),
        Question("c", "x", {"k": word}),
    ):
        with pytest.raises(ValueError, match="not a word"):
            _ = question.line
