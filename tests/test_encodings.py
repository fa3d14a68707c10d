"""Files are read and written in an encoding that the code names, not in that of the locale."""

import ast
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent.parent / "harness"

OF_THE_USER = {"openssh"}
"""Reads ~/.ssh/config, which its user has written in the locale's encoding."""

ENCODING_AT = {"read_text": 0, "write_text": 1}
"""Where the encoding stands if it is not given by name."""


def unnamed(tree: ast.AST) -> list[int]:
    """Return the lines of calls that open a file as text without an encoding."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(one.arg == "encoding" for one in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        opened = isinstance(node.func, ast.Name) and node.func.id == "open"
        place = ENCODING_AT.get(name)
        texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
        mode = next((one for one in texts if isinstance(one, str) and len(one) <= 3), "r")
        if (place is not None and len(node.args) <= place) or (opened and "b" not in mode):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", sorted(HARNESS.rglob("*.py")), ids=lambda path: path.stem)
def test_every_text_file_has_an_encoding(path: Path) -> None:
    if OF_THE_USER & {path.stem, path.parent.name}:
        return
    assert unnamed(ast.parse(path.read_text("utf-8"))) == []


def test_a_call_without_one_is_found() -> None:
    code = "p.read_text()\np.write_text(t)\nopen(p)\nopen(p, 'rb')\np.read_text('utf-8')"
    assert unnamed(ast.parse(code)) == [1, 2, 3]
