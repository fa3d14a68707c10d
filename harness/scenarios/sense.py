"""What a verdict word means for a server: a grade, and sentences that are filled with counts.

A sentence may name counts of its own cell: `{reset}` becomes the number, and `{reset/total}`
becomes "all 43", "none of 43" or "12 of 43". `{reset+}` is a number that is worth a sentence only
if it is not 0. docs/behaviours.md has the same words; tests/test_docs.py compares them.
"""

from enum import StrEnum

from msgspec import Struct


class Grade(StrEnum):
    """How good an answer is for the clients of a server."""

    LOSSLESS = "nothing lost"
    NOTICED = "clients notice"
    DEPENDS = "depends"
    FACT = "a fact, neither good nor bad"


LOSSLESS, NOTICED, DEPENDS, FACT = Grade


OTHERS_SERVED = "Of the other workers', {survivors_served/survivors_total} were served."
"""What became of the connections of the workers that did not fail."""


class Sense(Struct, frozen=True):
    """One verdict word: what happened, what that means for a server, and what to do about it.

    `happened`, `means` and `do` hold for every cell with this word. `told` says what happened with
    the counts of one cell. A sentence of it is left out if the cell lacks one of its counts; if all
    are left out, `happened` is said instead. `do` is empty if there is nothing to do.
    """

    grade: Grade
    happened: str
    means: str
    do: str = ""
    told: tuple[str, ...] = ()
