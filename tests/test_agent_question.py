"""A question is one line that cannot be read in two ways."""

import pytest

from harness.agent import Question


def test_a_question_is_one_line() -> None:
    question = Question("c3", "sharing", {"option": "reuseport+reuseport_lb", "case": "both"})
    assert question.line == "c3 sharing option=reuseport+reuseport_lb case=both\n"


@pytest.mark.parametrize("word", ["", "a b", "a\nb", "a=b", "$x", "'", "\u00e9"])
def test_a_word_that_would_need_quotes_is_a_bug(word: str) -> None:
    for question in (
        Question(word, "x"),
        Question("c", word),
        Question("c", "x", {word: "1"}),
        Question("c", "x", {"k": word}),
    ):
        with pytest.raises(ValueError, match="not a word"):
            _ = question.line
