"""The direction of imports: down only, no cycle, and nothing pure touches the world."""

import ast
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent.parent / "harness"

LAYERS = (
    {"errors", "model", "deadline", "text"},
    {"machine", "protocols"},
    {"wire"},
    {"scenarios"},
    {"judge", "clocks", "guests", "servers"},
    {"matrix"},
    {"claims"},
    {"transport", "leases", "store"},
    {"agent"},
    {"report"},
    {"providers"},
    {"run", "cluster"},
    {"cli", "pytest_plugin", "__main__"},
)
"""From the bottom; a package counts as one module. Within a layer any direction, but no cycle."""

PURE = {
    "model",
    "errors",
    "text",
    "wire",
    "scenarios",
    "judge",
    "clocks",
    "matrix",
    "claims",
    "report",
}

WORLD = {"os", "sys", "io", "socket", "subprocess", "shutil", "tempfile", "threading", "signal"}
WORLD |= {"pathlib", "time", "random", "paramiko", "psutil", "platform", "logging", "urllib"}


def modules() -> list[Path]:
    return sorted(HARNESS.rglob("*.py"))


def unit(name: str) -> str:
    """Return the layer's name of a dotted module: `harness.providers.host` is `providers`."""
    return name.split(".")[1]


def dotted(path: Path) -> str:
    parts = path.relative_to(HARNESS.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> set[str]:
    """Every module a file imports, also inside functions (a late import is an import)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules &= {dotted(other) for other in modules()}
            found |= submodules
            if len(submodules) < len(node.names):  # something of the package itself
                found.add(node.module)
    return found


def rank(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_down(path: Path) -> None:
    own = dotted(path)
    if own == "harness":
        return
    for name in imported(path):
        if name.startswith("harness."):
            assert rank(unit(name)) <= rank(unit(own)), f"{own} imports {name}"


def test_no_module_is_in_an_import_cycle() -> None:
    known = {dotted(path) for path in modules()}
    graph = {dotted(path): imported(path) & known for path in modules()}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in finished:
            for other in graph[name] - {name}:
                visit(other, (*trail, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if dotted(path) != "harness" and unit(dotted(path)) in PURE],
    ids=dotted,
)
def test_pure_modules_import_nothing_that_touches_the_world(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & WORLD


TOP = {"harness.providers", "harness.providers.diagnosis"}
"""Of the providers' package: who knows all of them."""

KINDS = {"qemu", "gvisor", "vagrant", "ssh", "openssh", "host"}
"""Modules and folders that belong to one provider; the rest is for whichever needs it."""


@pytest.mark.parametrize(
    "path", [path for path in modules() if unit(f"{dotted(path)}.") == "providers"], ids=dotted
)
def test_a_provider_imports_nothing_of_another_one(path: Path) -> None:
    def kind(name: str) -> str | None:
        words = [*name.split("."), "", ""][:3]
        known = words[:2] == ["harness", "providers"] and words[2] in KINDS
        return {"openssh": "ssh"}.get(words[2], words[2]) if known else None

    own = dotted(path)
    for name in imported(path) if own not in TOP else ():
        assert kind(name) in (None, kind(own)), f"{own} imports {name}"
