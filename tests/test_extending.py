"""docs/extending.md names the files that a scenario and a provider take, and they stay few."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model.guest import SECTIONS
from harness.providers import PROVIDERS

ROOT = Path(__file__).parent.parent

PAGE = ROOT / "docs" / "extending.md"

MOST_FOR_A_SCENARIO = 9
"""With a C file of its own, which the agent's Makefile has to name."""

MOST_FOR_A_PROVIDER = 3
"""Outside its own folder."""

EXAMPLE = re.compile(r"listen[-_]order", re.IGNORECASE)

FOLDERS = ("harness", "guests", "tests", "docs", "benchmarks")

WRITTEN = {".c", ".h", ".py", ".md", ".js", ".css", ".html", ".yaml", ".json", ".sh"}

NOT_COUNTED = ("tests/data/", "docs/examples/", "docs/report/", "docs/traps.md")
"""Recordings, what programs wrote, and a page that mentions some scenarios as examples."""

MORE = {"ssh": ("harness/providers/openssh/",)}
"""What belongs to one provider besides its module or its folder."""

BOOTING = {"qemu", "vagrant"}
"""Names that mean nothing else in the code; `host` and `ssh` do."""

KNOW_BY_NAME = ("harness/model/guest.py", "harness/guests/", "harness/providers/")
"""Who may name them."""

DOCTOR = "harness/cli/doctor.py"
"""Has `--with vagrant`: packages that a user may install."""


def section(title: str) -> str:
    """Return what stands under a heading of the page."""
    return PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def listed(title: str) -> list[str]:
    """Return the files of the first numbered list under a heading."""
    first, *others = re.findall(r"^(\d+)\. (?:`([^` ]+)`)?", section(title), re.MULTILINE)
    found = [first[1]]
    for number, path in others:
        if int(number) != len(found) + 1:
            break
        found.append(path)
    return found


def files() -> Iterator[Path]:
    """Yield what people wrote: no recordings, nothing generated, and neither page nor test."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            written = path.suffix in WRITTEN or path.name == "Makefile"
            if written and not path.relative_to(ROOT).as_posix().startswith(NOT_COUNTED):
                yield path


def named(path: Path) -> set[str]:
    """Return every name, attribute and string of a module that could be a provider's."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name) | ast.Constant(value=str(name)):
                found.add(name)
    return found


def test_the_page_names_every_file_that_a_scenario_takes() -> None:
    others = [path for path in files() if path not in (PAGE, Path(__file__))]
    found = [path for path in others if EXAMPLE.search(path.read_text())]
    assert sorted(listed("A scenario")) == sorted(str(path.relative_to(ROOT)) for path in found)
    assert "guests/agent/Makefile" in section("A scenario")
    assert len(found) + 1 <= MOST_FOR_A_SCENARIO


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_page_names_every_module_that_a_provider_takes(provider: str) -> None:
    made = PROVIDERS[provider]
    assert isinstance(made, type)
    module = made.__module__.split(".")[2]
    own = (f"harness/providers/{module}.py", f"harness/providers/{module}/")
    found = [
        name
        for path in sorted((ROOT / "harness").rglob("*.py"))
        if not (name := path.relative_to(ROOT).as_posix()).startswith(own + MORE.get(provider, ()))
        and named(path) & {made.__name__, SECTIONS[provider].__name__}
    ]
    assert sorted(listed("A provider")) == found
    assert len(found) <= MOST_FOR_A_PROVIDER


def test_who_runs_a_guest_asks_its_section_and_names_no_provider() -> None:
    for path in sorted((ROOT / "harness").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith((*KNOW_BY_NAME, DOCTOR)):
            assert not named(path) & BOOTING, name
