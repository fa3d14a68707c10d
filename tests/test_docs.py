"""The documents say what there is: every word once, links that lead somewhere, true examples."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli import COMMANDS, group
from harness.scenarios import CATALOGUE

ROOT = Path(__file__).parent.parent

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

LONGEST_README = 150

WIDEST_CELL = 200
"""Characters of a table's cell in docs/wire.md: what is longer belongs into a list."""


def explained() -> dict[str, list[str]]:
    """Return the words that docs/behaviours.md explains, by scenario."""
    found: dict[str, list[str]] = {}
    scenario = ""
    for line in (ROOT / "docs" / "behaviours.md").read_text().splitlines():
        if line.startswith("## "):
            scenario = line[3:]
        elif line.startswith("| `"):
            found.setdefault(scenario, []).append(line.split("`")[1])
    return found


def test_every_verdict_word_is_explained_once() -> None:
    words = {name: list(scenario.words) for name, scenario in CATALOGUE.items()}
    found = explained()
    assert list(found) == list(words)
    for name in words:
        assert sorted(found[name]) == sorted(words[name]), name


def meanings() -> Iterator[tuple[str, str, str, str]]:
    """Yield scenario, word, what happened and what it means, as docs/behaviours.md says it."""
    scenario = ""
    for line in (ROOT / "docs" / "behaviours.md").read_text().splitlines():
        if line.startswith("## "):
            scenario = line[3:]
        elif line.startswith("| `"):
            word, happened, means = (part.replace("`", "") for part in line[2:-2].split(" | "))
            yield scenario, word, happened, means


@pytest.mark.parametrize(("scenario", "word", "happened", "means"), [*meanings()])
def test_a_word_means_the_same_in_the_document_and_in_the_catalogue(
    scenario: str, word: str, happened: str, means: str
) -> None:
    """The document may add what was measured where."""
    sense = CATALOGUE[scenario].words[word]
    text = f"{sense.means}. {sense.do}" if sense.do else sense.means
    assert happened == sense.happened
    assert means.startswith(text)
    assert means == text or means[len(text) :].startswith(". Measured on ")


def anchors(page: Path) -> set[str]:
    """Return what GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_what_security_promises_is_held_by_tests_that_there_are() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    named = set(re.findall(r"\b(?:vm/)?\w+\.py\b", text))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).exists()] == []
    assert len(text.splitlines()) <= 95


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_no_cell_of_the_wire_language_is_a_page() -> None:
    text = (ROOT / "docs" / "wire.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [cell.strip() for row in rows for cell in row.split("|")]
    assert [cell for cell in cells if len(cell) > WIDEST_CELL] == []


def test_the_wire_language_has_a_section_for_each_scenario() -> None:
    text = (ROOT / "docs" / "wire.md").read_text().split("## What each scenario does")[1]
    assert set(CATALOGUE) <= set(re.findall(r"^### (.*)$", text, re.M))


def examples() -> Iterator[tuple[str, str]]:
    """Yield each command's examples, and the README's lines that call us."""
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        lines = (command.epilog or "").split("Examples:")[1].split("\b")[0].splitlines()
        yield from ((name, line.strip()) for line in lines if "reuseport-matrix" in line)
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S):
            for line in block.splitlines():
                if line.startswith("reuseport-matrix "):
                    yield page.name, line


@pytest.mark.parametrize(("where", "line"), sorted(set(examples())))
def test_every_example_is_understood(where: str, line: str) -> None:
    words = shlex.split(re.split(r"  +|#|<|\|", line.replace("…", ""))[0])
    assert words[0] == "reuseport-matrix"
    command = group.get_command(click.Context(group), words[1])
    assert command is not None, where
    context = command.make_context(words[1], words[2:], resilient_parsing=False)
    assert context.params is not None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_with_examples(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.help
    assert "Examples:" in (command.epilog or ""), name
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
