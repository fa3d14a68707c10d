"""Reads the file of `--baseline`: a matrix, or YAML with expected verdicts, known differences."""

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import FileError
from harness.guests.document import Node, read
from harness.matrix.baseline import Baseline, KnownDifference, Rule
from harness.scenarios import CATALOGUE
from harness.store.runs import load_matrix

SCHEMA = 1

KEYS = ("schema", "matrix", "expect", "known")

UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
"""msgspec's message for a key that does not exist."""

Line = TypeVar("Line", bound=Rule)


def load_baseline(path: Path) -> Baseline:
    """Read a baseline; raise `FileError` with file and line."""
    if os.path.isdir(path) or path.suffix == ".json":
        return Baseline(load_matrix(path))
    root = read(path, also=("timestamp",))
    if not isinstance(root.value, dict):
        raise FileError(path, root.line, f"expected a mapping with {', '.join(KEYS)}")
    _check(path, root)
    known = _lines(path, root, "known", KnownDifference)
    expect = _lines(path, root, "expect", Rule)
    matrix = root.mapping.get("matrix")
    if matrix is None and not expect:
        hint = "`matrix: FILE` names a matrix.json; `expect:` lists verdicts by hand"
        raise FileError(path, root.line, "the file expects no verdict", hint=hint)
    if matrix is not None and not isinstance(matrix.value, str):
        raise FileError(path, matrix.line, "`matrix` must be the path of a matrix.json")
    words = None if matrix is None else load_matrix(path.parent / str(matrix.value))
    return Baseline(words, expect, known)


def _check(path: Path, root: Node) -> None:
    for key, node in root.mapping.items():
        if key not in KEYS:
            raise FileError(path, node.line, f"unknown key `{key}`; keys: {', '.join(KEYS)}")
    schema = root.mapping.get("schema")
    if schema is None or schema.value != SCHEMA:
        line = root.line if schema is None else schema.line
        raise FileError(path, line, f"this program reads only `schema: {SCHEMA}`")


def _lines(path: Path, root: Node, key: str, kind: type[Line]) -> tuple[Line, ...]:
    node = root.mapping.get(key)
    if node is None:
        return ()
    if not isinstance(node.value, list):
        raise FileError(path, node.line, f"`{key}` must be a list")
    return tuple(_line(path, one, kind) for one in node.value)


def _line(path: Path, node: Node, kind: type[Line]) -> Line:
    try:
        line = msgspec.convert(node.plain(), kind, strict=True)
    except msgspec.ValidationError as exc:
        reason, _, where = str(exc).partition(" - at `$")
        named = where.strip("`.").split(".")[0].partition("[")[0]
        stranger = UNKNOWN.fullmatch(reason)
        if stranger is not None:
            named, reason = stranger[1], "unknown key"
        found = node.mapping.get(named)
        said = f"`{named}`: {reason}" if named else reason
        hint = "keys: guest, scenario, axes, verdict; in `known` also reason and expires"
        raise FileError(path, found.line if found else node.line, said, hint=hint) from exc
    _check_scenario(path, node, line)
    return line


def _check_scenario(path: Path, node: Node, line: Rule) -> None:
    """Reject a line that can never match a cell."""
    if not any(fnmatchcase(name, line.scenario) for name in CATALOGUE):
        where = node.mapping["scenario"].line
        hint = "`reuseport-matrix scenarios` lists all scenarios"
        raise FileError(path, where, f"no scenario matches {line.scenario!r}", hint=hint)
