"""Reads server files: one server each, or several variants with common defaults."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from harness.errors import FileError
from harness.guests.document import Node, read
from harness.guests.limits import expectation
from harness.model.server import On, Server
from harness.servers.steps import is_inside, is_name, mistake

logger = logging.getLogger(__name__)

OURS = ("name", "source")
"""Fields of a server that are not keys of its file, or only at its top."""

REPLACED = {"ways"}
"""Mappings of a variant that replace those of the defaults, and are not merged with them."""

NUMBERS = {"workers": (1, 64), "ready": (0.1, 120)}

FILE_LIMIT = 64 << 10
"""The most bytes of one file that a server is given."""

RESERVED = ("port", "folder", "workers", "generation", "agent")
"""Placeholders that the agent fills in."""


def load(folders: Sequence[Path]) -> Mapping[str, Server]:
    """Read every `*.yaml` and `*.yml`; return the servers by name.

    A server in a later folder replaces one with the same name in an earlier folder. Raise
    `FileError` for the first mistake.
    """
    found: dict[str, Server] = {}
    for folder in folders:
        if not folder.is_dir():
            hint = "name a folder that holds *.yaml files with --servers"
            raise FileError(folder, None, "is not a folder of server files", hint=hint)
        here: dict[str, Server] = {}
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            for name, node in _entries(path):
                if name in here:
                    raise FileError(path, node.line, f"`{name}` is already in {here[name].source}")
                here[name] = _server(path, name, node)
        for name, server in here.items():
            if name in found:
                logger.info("%s: %s replaces that of %s", server.source, name, found[name].source)
            found[name] = server
    return MappingProxyType(found)


def _entries(path: Path) -> Iterator[tuple[str, Node]]:
    root = read(path)
    if not isinstance(root.value, dict) or not root.mapping.keys() & {"name", "variants"}:
        raise FileError(path, root.line, "expected a mapping with `name` or `variants`")
    rest = {key: node for key, node in root.mapping.items() if key not in ("name", "variants")}
    defaults = Node(root.line, rest)
    if "name" in root.mapping:
        named = root.mapping["name"]
        if "variants" in root.mapping:
            line = root.mapping["variants"].line
            raise FileError(path, line, "`name` and `variants` exclude each other")
        yield _name(path, named.value, named.line), defaults
        return
    variants = root.mapping["variants"]
    if not variants.mapping:
        raise FileError(path, variants.line, "`variants`: expected a mapping with names")
    for name, node in variants.mapping.items():
        if not isinstance(node.value, dict):
            raise FileError(path, node.line, f"`{name}`: expected a mapping")
        yield _name(path, name, node.line), _variant(node, defaults)


def _variant(node: Node, defaults: Node) -> Node:
    """Return a variant over the defaults; its `ways`, if it has any, are all that it has."""
    kept = {
        key: one
        for key, one in defaults.mapping.items()
        if key not in REPLACED & node.mapping.keys()
    }
    return node.over(Node(defaults.line, kept))


def _name(path: Path, name: object, line: int) -> str:
    if not isinstance(name, str) or not is_name(name):
        hint = "lower case, digits and hyphens, at most 40 characters"
        raise FileError(path, line, f"`{name}` cannot be a server's name", hint=hint)
    return name


def _server(path: Path, name: str, node: Node) -> Server:
    _check_keys(path, node, Server, "a server")
    for system, differing in node.mapping.get("on", Node(0, {})).mapping.items():
        _check_keys(path, differing, On, f"on.{system}")
    for key in ("title", "protocol", "start", "ways"):
        if key not in node.mapping:
            raise FileError(path, node.line, f"server `{name}` has no `{key}`")
    server = _converted(path, name, node)
    _check(path, node, server)
    return server


def _check_keys(path: Path, node: Node, struct: type[Struct], place: str) -> None:
    known = [one.name for one in msgspec.structs.fields(struct) if one.name not in OURS]
    for key, value in node.mapping.items():
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
            raise FileError(path, value.line, f"`{key}` is not a key of {place}", hint=hint)


def _converted(path: Path, name: str, node: Node) -> Server:
    plain = {key: value.plain() for key, value in node.mapping.items()}
    try:
        return replace(msgspec.convert({**plain, "name": name}, Server), source=str(path))
    except msgspec.ValidationError as exc:
        where, what = expectation(str(exc))
        found = node
        for key in where:
            found = found.children.get(key, found)
        place = ".".join(where) or name
        raise FileError(path, found.line, f"`{place}`: {what}") from exc


def _check(path: Path, node: Node, server: Server) -> None:
    for key, (least, most) in NUMBERS.items():
        if not least <= getattr(server, key) <= most:
            line = node.mapping[key].line
            raise FileError(path, line, f"`{key}`: expected {least:g} to {most:g}")
    if (server.protocol == "tcp") != bool(server.request and server.answer):
        message = "`request` and `answer` go with `protocol: tcp`, which needs both"
        raise FileError(path, node.mapping["protocol"].line, message)
    for key in ("start", "title"):
        if "\n" in getattr(server, key).strip():
            raise FileError(path, node.mapping[key].line, f"`{key}`: expected one line")
    for name in server.values:
        if name in RESERVED or not name.isidentifier():
            line = node.mapping["values"].mapping[name].line
            raise FileError(path, line, f"`values.{name}`: this name cannot be a placeholder")
    _check_files(path, node, server)
    _check_ways(path, node, server)


def _check_files(path: Path, node: Node, server: Server) -> None:
    if server.pid and not is_inside(server.pid):
        line = node.mapping["pid"].line
        raise FileError(path, line, "`pid`: expected a relative path, without `..`")
    for name, text in server.files.items():
        line = node.mapping["files"].mapping[name].line
        if not is_inside(name):
            raise FileError(path, line, f"`files.{name}`: expected a relative path, without `..`")
        if len(text.encode()) > FILE_LIMIT:
            raise FileError(path, line, f"`files.{name}`: more than {FILE_LIMIT} bytes")


def _check_ways(path: Path, node: Node, server: Server) -> None:
    if not server.ways:
        raise FileError(path, node.mapping["ways"].line, "`ways`: a server needs a way to restart")
    for name, steps in server.ways.items():
        found = node.mapping["ways"].mapping[name]
        if not is_name(name):
            raise FileError(path, found.line, f"`ways.{name}`: cannot be the name of a way")
        if not steps:
            raise FileError(path, found.line, f"`ways.{name}`: has no step")
        _check_steps(path, found, f"ways.{name}", steps)
    if "stop" in node.mapping:
        _check_steps(path, node.mapping["stop"], "stop", server.stop)


def _check_steps(path: Path, node: Node, place: str, steps: Sequence[str]) -> None:
    for index, step in enumerate(steps):
        wrong = mistake(step)
        if wrong is not None:
            line = node.children[str(index)].line
            raise FileError(path, line, f"`{place}[{index}]`: {wrong}")
