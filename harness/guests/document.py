"""Reads a YAML file into plain values with their lines, and rejects what could do harm."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import yaml
from msgspec import Struct

from harness.errors import FileError
from harness.machine import guarded

SIZE_LIMIT = 256 << 10
"""The most bytes of a guest file; those that come with this program have about two thousand."""

DEPTH_LIMIT = 16
"""The most levels of nesting, because PyYAML composes by recursion."""

LARGEST = 2**63 - 1
"""No JSON or option needs a larger number, but `1:1:1…` can write one of any size (YAML 1.1)."""

Loader = type[yaml.SafeLoader] | type[yaml.CSafeLoader]

QUICK: Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's loader in C, if it is there: it takes a fifth of the time. Its error messages are less
clear, so a file that it rejects is read once more in Python."""

SHOWN = 60
"""The most characters of a file that a message repeats."""

SURROGATE = re.compile("[\ud800-\udfff]")

PREFIX = "tag:yaml.org,2002:"

TAGS = frozenset(
    f"{PREFIX}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")
)

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]


class Node(Struct, frozen=True):
    """A value and its line. In a list or a mapping, `value` contains nodes."""

    line: int
    value: "Scalar | list[Node] | dict[str, Node]"

    @property
    def mapping(self) -> "dict[str, Node]":
        """The keys and their nodes; empty if this is not a mapping."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def children(self) -> "dict[str, Node]":
        """The nodes below this one: a mapping's by key, a list's by index (`"0"`, …)."""
        if isinstance(self.value, list):
            return {str(index): node for index, node in enumerate(self.value)}
        return self.mapping

    def at(self, where: Sequence[str]) -> "Node | None":
        """Return the node at a path of keys; None if there is none."""
        node = self
        for key in where:
            if key not in node.mapping:
                return None
            node = node.mapping[key]
        return node

    def plain(self) -> Plain:
        """Return the value without lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def over(self, defaults: "Node") -> "Node":
        """Return this node merged deeply over `defaults`; lists and scalars replace theirs."""
        if not isinstance(self.value, dict) or not isinstance(defaults.value, dict):
            return self
        merged = dict(defaults.value)
        for key, node in self.value.items():
            merged[key] = node.over(merged[key]) if key in merged else node
        return Node(self.line, merged)


def read(path: Path, also: Collection[str] = ()) -> Node:
    """Return the file's only document; raise `FileError`.

    `also` names further YAML types that are allowed; their values stay text.
    """
    try:
        text = guarded.read(path, SIZE_LIMIT).decode()
    except OSError as exc:
        raise FileError(path, None, f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise FileError(path, None, f"is not UTF-8 (byte {exc.start})") from exc
    tags = TAGS | {f"{PREFIX}{name}" for name in also}
    try:
        try:
            return _document(path, text, tags, QUICK)
        except yaml.YAMLError:
            return _document(path, text, tags, yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else None
        hint = "indent with spaces" if "'\\t'" in str(exc.problem) else None
        raise FileError(path, line, f"is not YAML: {exc.problem}", hint=hint) from exc
    except yaml.YAMLError as exc:
        raise FileError(path, None, f"is not YAML: {str(exc).splitlines()[0]}") from exc


def _document(path: Path, text: str, tags: Collection[str], loader: Loader) -> Node:
    _refuse_traps(path, text, loader)
    root = yaml.compose(text, loader)
    if root is None:
        raise FileError(path, 1, "is empty")
    return _node(path, root, tags)


def _refuse_traps(path: Path, text: str, loader: Loader) -> None:
    """Reject aliases, deep nesting and second documents, before PyYAML composes the file.

    Aliases can expand without limit, and deep nesting overflows the stack. The events are a flat
    list, so that this check needs no recursion.
    """
    depth = documents = 0
    for event in yaml.parse(text, loader):
        line = event.start_mark.line + 1 if event.start_mark else None
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent):
            raise FileError(path, line, "aliases (`*name`) are not allowed; repeat the value")
        if depth > DEPTH_LIMIT:
            raise FileError(path, line, f"more than {DEPTH_LIMIT} levels deep")
        if documents > 1:
            raise FileError(path, line, "a second document; a file may contain only one")


def _node(path: Path, node: yaml.Node, tags: Collection[str]) -> Node:
    line = node.start_mark.line + 1
    if node.tag not in tags:
        name = node.tag.rpartition(":")[2]
        shown = f"`{_short(node)}`" if isinstance(node, yaml.ScalarNode) else "this"
        raise FileError(path, line, f"{shown} is read as {name}; quote it to make it text")
    if isinstance(node, yaml.MappingNode):
        return Node(line, _mapping(path, node, tags))
    if isinstance(node, yaml.SequenceNode):
        return Node(line, [_node(path, item, tags) for item in node.value])
    return Node(line, _scalar(path, node))


def _mapping(path: Path, node: yaml.MappingNode, tags: Collection[str]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key_node.value, str):
            raise FileError(path, line, "a key must be a plain word")
        key = _text(path, key_node, key_node.value)
        if key in found:
            raise FileError(path, line, f"`{key}` is given twice (first in line {found[key].line})")
        # The key's line, not the value's: a nested mapping starts a line later.
        found[key] = Node(line, _node(path, value_node, tags).value)
    return found


def _scalar(path: Path, node: yaml.Node) -> Scalar:
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, LookupError, AttributeError) as exc:  # a tag that the text does not fit
        line = node.start_mark.line + 1
        raise FileError(
            path, line, f"`{_short(node)}` is not a valid {node.tag.rpartition(':')[2]}"
        ) from exc
    if isinstance(value, str):
        return _text(path, node, value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise FileError(path, node.start_mark.line + 1, f"`{_short(node)}` is too large a number")
    return value if isinstance(value, Scalar) else str(value)


def _short(node: yaml.Node) -> str:
    text = str(node.value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _text(path: Path, node: yaml.Node, text: str) -> str:
    r"""Reject NUL and lone surrogates: only an escape (`"\0"`, `"\ud800"`) can write them."""
    if "\0" in text or (not text.isascii() and SURROGATE.search(text)):
        line = node.start_mark.line + 1
        raise FileError(path, line, "a text with an invalid character (NUL or a lone surrogate)")
    return text
