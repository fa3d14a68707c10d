"""`explain`: says what a word of the matrix means for a server."""

from collections.abc import Iterator, Sequence

import click

from harness.cli.output import write_as
from harness.model import word as plain
from harness.report.account import sentence
from harness.report.grades import GLYPHS
from harness.run.nearest import unknown
from harness.scenarios import CATALOGUE
from harness.scenarios.scenario import Scenario
from harness.text import Paint, wrapped

EPILOG = """\b
Examples:
  reuseport-matrix explain reset               the word, in each scenario that has it
  reuseport-matrix explain failure-queued      all words of a scenario
  reuseport-matrix explain lost:104/3185 --json
\b
The marks: ✓ nothing lost, ✗ clients notice, ± depends, → a fact, neither good nor bad.
Exit status: 0; 2 if no scenario has the word.
"""

Found = Sequence[tuple[Scenario, Sequence[str]]]


@click.command(epilog=EPILOG)
@click.argument("word", metavar="WORD|SCENARIO")
@click.option("--json", "as_json", is_flag=True, help="A list of scenario, word, grade, meaning.")
def explain(word: str, as_json: bool) -> None:
    """Say what a verdict word means: what happened, what follows for a server, what to do.

    WORD may have a count or an errno, as in the matrix.
    """
    found = _found(word)
    write_as(
        "json" if as_json else "terminal",
        data=lambda: [
            {"scenario": scenario.id, "word": name, **_meaning(scenario, name)}
            for scenario, names in found
            for name in names
        ],
        page=tuple,
        terminal=lambda width, paint: _lines(found, width, paint),
    )


def _found(name: str) -> Found:
    """Return the scenarios with the words to explain; raise `UsageError` if there are none."""
    if name in CATALOGUE:
        return [(CATALOGUE[name], list(CATALOGUE[name].words))]
    head = plain(name).partition(":")[0]
    found = [(one, [head]) for one in CATALOGUE.values() if head in one.words]
    if not found:
        words = dict.fromkeys(word for one in CATALOGUE.values() for word in one.words)
        raise unknown("word", name, [*words, *CATALOGUE])
    return found


def _meaning(scenario: Scenario, name: str) -> dict[str, str]:
    sense = scenario.words[name]
    return {
        "grade": sense.grade.value,
        "happened": sense.happened,
        "means": sense.means,
        "do": sense.do,
    }


def _lines(found: Found, width: int, paint: Paint) -> Iterator[str]:
    for scenario, names in found:
        yield from wrapped(f"{scenario.id}: {scenario.sentence}", width)
        for name in names:
            sense = scenario.words[name]
            yield f"  {GLYPHS[sense.grade]} {paint(name, '1')} ({sense.grade})"
            means = " ".join(filter(None, map(sentence, (sense.means, sense.do))))
            for text in (sentence(sense.happened), means):
                yield from (f"      {line}" for line in wrapped(text, width - 6, indent=""))
