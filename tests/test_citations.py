"""What a page, a comment or a docstring cites exists: a file, a numbered trap, a named section."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

DOCS = ROOT / "docs"

TESTS = ROOT / "tests"

RECORDINGS = TESTS / "data"
"""Output of guests. No author wrote it, so it cites nothing."""

FOLDERS = ("docs", "harness", "guests", "tests", "benchmarks", ".ci", ".github")

TEXTS = {".md", ".py", ".c", ".h", ".sh", ".yaml", ".yml", ".js", ".css", ".html", ".ini", ".toml"}

WITHOUT_SUFFIX = (
    ROOT / "Vagrantfile",
    ROOT / ".ci" / "run",
    ROOT / "guests" / "agent" / "Makefile",
)

OUTPUTS = {"report.md", "summary.md", "table.md"}
"""Pages that the program writes; none of them is in the repository."""

PAGE = re.compile(r"(?<![\w./*-])([\w-]+\.md)\b")
"""A page by its bare name."""

FILE = re.compile(
    r"(?<![\w./*:-])"
    r"((?:docs|harness|guests|tests|benchmarks|\.ci|\.github)/[\w./*-]*"
    r"\.(?:md|py|c|h|ya?ml|json|sh|css|js|html|toml))\b"
)
"""A file by its path in the repository; `*` stands for any name."""

FOLDER = re.compile(r"`((?:docs|harness|guests|tests|benchmarks)(?:/[\w.-]+)*/?)`")
"""A folder in a page, where backticks mark it."""

TRAP = re.compile(r"\btraps?[\s#*]+(\d+)")

SECTION = re.compile(r'(docs/\w+\.md),?[\s#*]+\(?"([^"]+)"')
"""A section of a page: docs/wire.md, "Saying"."""

STARTS = {tokenize.ENCODING, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
"""Tokens after which a statement begins."""

SKIPPED = {tokenize.COMMENT, tokenize.NL}


def texts() -> list[Path]:
    """Return the files of the repository that have an author."""
    found = {path for path in ROOT.glob("*") if path.suffix in TEXTS}
    for folder in FOLDERS:
        found |= {path for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS}
    return sorted(
        path
        for path in found.union(WITHOUT_SUFFIX)
        if path.is_file() and RECORDINGS not in path.parents
    )


def comments_and_docstrings(code: str) -> str:
    """Return the prose of a Python file: comments, and strings that are statements."""
    prose, before = [], tokenize.ENCODING
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        alone = token.type == tokenize.STRING and before in STARTS
        if alone or token.type == tokenize.COMMENT:
            prose.append(token.string)
        if token.type not in SKIPPED:
            before = token.type
    return "\n".join(prose)


def prose(path: Path) -> str:
    """Return what a file may cite with; a test's other strings are inputs, such as guest files."""
    text = path.read_text()
    return comments_and_docstrings(text) if TESTS in path.parents and path.suffix == ".py" else text


def exists(cited: str, *starts: Path) -> bool:
    """Return whether a path, or a pattern with `*`, leads anywhere from one of the folders."""
    return any(any(start.glob(cited.rstrip("/"))) for start in starts)


def missing_files(path: Path, text: str) -> Iterator[str]:
    """Yield the pages, files and folders that a text cites and that do not exist."""
    for page in PAGE.findall(text):
        if page not in OUTPUTS and not exists(page, ROOT, DOCS, path.parent):
            yield page
    folders = FOLDER.findall(text) if path.suffix == ".md" else []
    for cited in (*FILE.findall(text), *folders):
        if not exists(cited, ROOT, path.parent):
            yield cited


def missing_sections(text: str) -> Iterator[str]:
    """Yield the traps and sections that a text cites and that no page has."""
    for number in TRAP.findall(text):
        if int(number) not in traps():
            yield f"trap {number}"
    for page, section in SECTION.findall(text):
        name = re.sub(r"[\s#*]+", " ", section)
        if exists(page, ROOT) and name not in sections(ROOT / page):
            yield f'{page}, "{name}"'


def dangling(path: Path, text: str) -> list[str]:
    """Return the citations of a text that lead nowhere, each once."""
    return sorted({*missing_files(path, text), *missing_sections(text)})


def sections(page: Path) -> set[str]:
    """Return what a page can be cited by: its headings, and the bold first words of paragraphs."""
    text = page.read_text()
    bold = re.findall(r"^\*\*(.+?)[.:]?\*\*", text, re.M)
    return {*re.findall(r"^#+ (.*)$", text, re.M), *bold}


def traps() -> list[int]:
    """Return the numbers of docs/traps.md."""
    return [
        int(number) for number in re.findall(r"^## (\d+)\.", (DOCS / "traps.md").read_text(), re.M)
    ]


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_cited_exists(path: Path) -> None:
    assert dangling(path, prose(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "MISSING.md",
        "docs/missing.md",
        "harness/missing/x.py",
        "tests/test_missing.py",
        "guests/agent/missing.c",
        "harness/missing*.py",
        "`harness/missing/`",
        "docs/traps.md, trap 99",
        'docs/wire.md, "Missing"',
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str) -> None:
    assert dangling(ROOT / "README.md", f"See {text}.") != []


@pytest.mark.parametrize(
    "text",
    [
        "README.md, wire.md, report.md",
        "docs/wire.md, guests/*.yaml, tests/data/",
        "QEMU's own docs/interop/qcow2.txt, and net/ipv4/tests/x.c",
        "docs/traps.md, trap 9",
        'docs/wire.md, "Saying"; docs/wire.md ("Victim")',
    ],
)
def test_a_citation_that_leads_somewhere_is_not(text: str) -> None:
    assert dangling(ROOT / "README.md", f"See {text}.") == []


def test_only_comments_and_docstrings_of_a_test_cite() -> None:
    code = (
        '"""A.md"""\nx = ["B.md",\n"C.md"]  # D.md\n\n'
        'def f():\n    """E.md"""\ny = 1\n\n"""F.md"""\n'
    )
    assert PAGE.findall(comments_and_docstrings(code)) == ["A.md", "D.md", "E.md", "F.md"]


def test_the_traps_are_numbered_from_1_to_20() -> None:
    assert traps() == list(range(1, 21))
