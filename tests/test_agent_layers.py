"""The agent's C, read as text: no large circle of files, and each declaration in its header."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

AGENT = Path(__file__).parent.parent / "guests" / "agent"

LARGEST_CIRCLE = 2
"""`worker` and `retire`: the child that inherits a listener goes on in the worker's loop."""

FAMILIES = {
    "backlog",
    "confined",
    "connected",
    "datagrams",
    "distribution",
    "drain",
    "facts",
    "failure",
    "failure_arrivals",
    "failure_handshake",
    "fallback",
    "group_limit",
    "last_gone",
    "one_listener",
    "orphans",
    "precedence",
    "restart",
    "sharing",
    "steering",
    "takeover",
}
"""Files of scenarios; scenarios.h declares their functions."""

NO_HEADER = {"main", "libc_start1"}
"""They define what the start of a program calls."""

NOT_CODE = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", re.DOTALL)

DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|.)*$", re.MULTILINE)

INCLUDE = re.compile(r'^#include [<"]([\w./]+)[>"]$', re.MULTILINE)

STANDARD = {
    "int64_t": "stdint.h",
    "uint16_t": "stdint.h",
    "uint32_t": "stdint.h",
    "size_t": "stddef.h",
    "pid_t": "sys/types.h",
    "socklen_t": "sys/socket.h",
    "sockaddr_storage": "sys/socket.h",
    "pollfd": "poll.h",
}


def sources() -> list[Path]:
    return sorted(AGENT.glob("*.c"))


def headers() -> list[Path]:
    return sorted(AGENT.glob("*.h"))


@cache
def code(path: Path) -> str:
    """Return the file without comments, strings and preprocessor lines."""
    text = NOT_CODE.sub(lambda found: " " if found[0][0] == "/" else '""', path.read_text())
    return DIRECTIVE.sub("", text)


def outside_braces(text: str) -> Iterator[str]:
    """Yield what stands at file scope: a declaration each; `{}` is what was in braces."""
    said, depth = "", 0
    for character in text:
        depth -= character == "}"
        if depth == 0:
            said += character
        depth += character == "{"
        function = character == "}" and depth == 0 and re.search(r"\)\s*\{\}$", said)
        if depth == 0 and (character == ";" or function):
            yield " ".join(said.split())
            said = ""


@cache
def defined(path: Path) -> frozenset[str]:
    """Return the functions and objects with external linkage that a .c file defines."""
    found = set()
    for text in outside_braces(code(path)):
        function = re.match(r"[\w\s*]*?(\w+)\s*\(.*\)\s*\{\}$", text)
        value = re.match(r"[\w\s*]*?[\s*](\w+)(?:\[\w*\])* = ", text)
        match = function or value
        if match and not text.startswith(("static ", "typedef ")):
            found.add(match[1])
    return frozenset(found)


@cache
def declared(path: Path) -> frozenset[str]:
    """Return the functions and objects that a header declares."""
    found = set()
    for text in outside_braces(code(path)):
        function = re.match(r"[\w\s*]*?(\w+)\s*\(.*\);$", text)
        value = re.match(r"extern [\w\s*]*?(\w+);$", text)
        match = function or value
        if match and not text.startswith("typedef "):
            found.add(match[1])
    return frozenset(found)


@cache
def reached(path: Path) -> frozenset[str]:
    """Return the headers that a file includes, directly or through others of the agent."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in set(INCLUDE.findall(waiting.pop().read_text())) - found:
            found.add(name)
            if (AGENT / name).exists():
                waiting.append(AGENT / name)
    return frozenset(found)


@cache
def named(path: Path) -> frozenset[str]:
    """Return the functions and objects of other files that a file refers to.

    Members and tags have names of their own, and what no header shows is a local name.
    """
    text = re.sub(r"(?:->|\.|\bstruct|\benum|\bunion)\s*\w+", "", code(path))
    shown = (declared(header) for header in headers() if header.name in reached(path))
    return frozenset(re.findall(r"\b[a-zA-Z_]\w*", text)) & frozenset[str]().union(*shown)


def uses() -> Mapping[str, set[str]]:
    """Return which file refers to functions and objects of which others."""
    return {
        path.stem: {
            other.stem for other in sources() if other != path and named(path) & defined(other)
        }
        for path in sources()
    }


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the strongly connected components of more than one node (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == order[node]:
            start = stack.index(node)
            found.append(set(stack[start:]))
            del stack[start:]

    for node in graph:
        if node not in order:
            visit(node)
    return [circle for circle in found if len(circle) > 1]


def own_header(path: Path) -> Path | None:
    if path.stem in NO_HEADER:
        return None
    return AGENT / ("scenarios.h" if path.stem in FAMILIES else f"{path.stem}.h")


def name_of(path: Path) -> str:
    return path.name


def test_no_circle_of_files_is_large() -> None:
    large = [sorted(circle) for circle in circles(uses()) if len(circle) > LARGEST_CIRCLE]
    assert large == []


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(map(sorted, circles(graph))) == [["a", "b", "c"], ["d", "e"]]


def test_definitions_are_found(tmp_path: Path) -> None:
    text = """
    /* void comment(void) { } */
    #define MACRO(x) { x }
    enum { ONE, TWO };
    struct kind { int member; };
    static int hidden(void) { return 0; }
    static const char *const words[] = { "a;b{", NULL };
    struct kind *pointer(int a, void (*run)(int))
    {
        if (a) { run(a); }
        return 0;
    }
    const struct kind table[] = { { 1 }, { 2 } };
    const char *const name = "name";
    extern int elsewhere;
    int declared_only(void);
    """
    (tmp_path / "one.c").write_text(text)
    assert defined(tmp_path / "one.c") == {"pointer", "table", "name"}
    assert declared(tmp_path / "one.c") == {"elsewhere", "declared_only"}


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_what_a_file_defines_stands_in_the_header_of_its_name(path: Path) -> None:
    own = own_header(path)
    for name in defined(path) if own is not None else ():
        assert [header for header in headers() if name in declared(header)] == [own], name


@pytest.mark.parametrize("path", headers(), ids=name_of)
def test_what_a_header_declares_is_defined_in_the_file_of_its_name(path: Path) -> None:
    stems = FAMILIES if path.stem == "scenarios" else {path.stem}
    known = frozenset[str]().union(
        *(defined(AGENT / f"{name}.c") for name in stems & uses().keys())
    )
    assert declared(path) <= known


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_file_includes_the_headers_of_what_it_calls(path: Path) -> None:
    own = own_header(path)
    included = INCLUDE.findall(path.read_text())
    if own is not None:
        assert included[0] == own.name
        included += INCLUDE.findall(own.read_text())
    needed = {header.name for header in headers() if named(path) & declared(header)}
    assert needed - {"platform.h"} <= set(included)


@pytest.mark.parametrize("path", [*sources(), *headers()], ids=name_of)
def test_platform_comes_before_the_headers_of_the_system(path: Path) -> None:
    """It widens what they show."""
    first, *_ = INCLUDE.findall(path.read_text())
    if path.suffix == ".c":
        assert (AGENT / first).exists()
    elif path.name != "platform.h":
        assert first == "platform.h"


@pytest.mark.parametrize("path", headers(), ids=name_of)
def test_a_header_includes_what_it_needs(path: Path) -> None:
    text, found = code(path), reached(path)
    for name, header in STANDARD.items():
        assert not re.search(rf"\b{name}\b", text) or header in found, name
    for tag in set(re.findall(r"\b(?:struct|enum) (\w+)", text)):
        known = [text, *(code(AGENT / name) for name in found if (AGENT / name).exists())]
        here = any(re.search(rf"\b(?:struct|enum) {tag}\s*[;{{]", other) for other in known)
        assert here or tag in STANDARD, tag
