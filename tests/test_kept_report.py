"""The report in `docs/report`: real kernels only, and the README shows its answers."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from harness.matrix import Matrix
from harness.model import State
from harness.report import answer_table
from harness.report.answers import answers
from harness.store.runs import load_matrix

ROOT = Path(__file__).parent.parent

KEPT = ROOT / "docs" / "report"

SYSTEMS = {"Linux", "FreeBSD", "DragonFly", "NetBSD", "gVisor"}
"""Those of the article that could be run without a Mac, and gVisor."""

UNCLEAR = 0.03
"""At most this share of a guest's applicable cells is inconclusive."""

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|usr/obj)/")
"""A path of the machine that made it."""


@cache
def kept() -> Matrix:
    return load_matrix(KEPT)


def test_it_has_every_system() -> None:
    assert {guest["system"] for guest in kept().guests.values()} == SYSTEMS


@pytest.mark.parametrize("name", kept().guests)
def test_each_guest_names_its_kernel_and_how_it_ran(name: str) -> None:
    guest = kept().guests[name]
    facts = guest["facts"]
    assert isinstance(facts, Mapping)
    page = (KEPT / "README.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    assert " ".join(str(facts["version"]).split()) in row
    assert (guest["accelerator"] == "tcg") == ("emulated" in row)


@pytest.mark.parametrize("name", kept().guests)
def test_few_cells_of_a_guest_are_inconclusive(name: str) -> None:
    states = [cell.state for cell in kept().cells if cell.guest == name]
    unclear = states.count(State.INCONCLUSIVE)
    assert unclear <= UNCLEAR * (unclear + states.count(State.MEASURED))
    assert State.INFRASTRUCTURE not in states


def test_the_readme_shows_its_answers() -> None:
    shown = [*answer_table.page(answers(kept()))]
    readme = (ROOT / "README.md").read_text()
    assert "\n".join(shown).strip() in readme


def test_the_page_is_of_this_matrix_and_small() -> None:
    page = (KEPT / "report.html").read_bytes()
    assert kept().run.id.encode() in page
    assert len(page) <= 5 << 20


@pytest.mark.parametrize("name", ["README.md", "matrix.json", "report.html"])
def test_nothing_tells_of_the_machine_that_made_it(name: str) -> None:
    assert MACHINE_PATH.findall((KEPT / name).read_text()) == []
