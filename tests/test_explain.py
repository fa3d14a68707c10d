"""`explain` says what a word means, in every scenario that has it."""

import json

import pytest
from test_cli import Command, command

from harness.scenarios import CATALOGUE

__all__ = ["command"]  # a fixture, found by its name

WORDS = sorted({word for one in CATALOGUE.values() for word in one.words})


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_explained_in_each_scenario_that_has_it(command: Command, word: str) -> None:
    found = json.loads(command("explain", word, "--json").out)
    assert [one["scenario"] for one in found] == [
        name for name, scenario in CATALOGUE.items() if word in scenario.words
    ]
    assert all(one["happened"] and one["means"] and one["grade"] for one in found)


def test_a_word_may_be_as_in_the_matrix_and_a_scenario_has_all_its_words(
    command: Command,
) -> None:
    assert "✗ lost" in command("explain", "lost:104/3185").out
    assert "refused" in command("explain", "refused:EADDRINUSE").out
    text = command("explain", "failure-queued").out
    assert all(f" {word} (" in text for word in CATALOGUE["failure-queued"].words)
    assert "Drain first, pass the descriptor" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100


def test_an_unknown_word_is_refused_with_the_nearest(command: Command) -> None:
    found = command("explain", "resets")
    assert found.status == 2
    assert "did you mean reset" in found.err
