"""Makes guests from documents: merges defaults, checks keys and types, makes paths absolute."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from harness.errors import FileError
from harness.guests.console_steps import check_console
from harness.guests.document import Node, read
from harness.guests.limits import check_addresses, check_boots, check_limits, expectation
from harness.model import (
    GUEST_NAME,
    AgentSource,
    Box,
    Checked,
    DebianKernel,
    Guest,
    Image,
    OnlyOn,
    Ssh,
)
from harness.model.console_step import ConsoleStep
from harness.model.guest import SECTIONS, Gvisor, Host, Qemu, Remote, Vagrant

logger = logging.getLogger(__name__)

RESERVED = frozenset({"all", "available"})

DEBIAN_TARGET = "x86_64-linux-musl"

MOVED = ("agent", "root")
"""Keys of a guest that may also be written inside `qemu`."""

PATHS = (
    ("gvisor", "path"),
    ("qemu", "kernel"),
    ("qemu", "initrd"),
    ("qemu", "modules"),
    ("qemu", "disk"),
    ("qemu", "ssh", "key"),
    ("vagrant", "ssh", "key"),
    ("ssh", "key"),
    ("agent", "path"),
)
"""Paths that are relative to the guest file."""


STRUCTS: Mapping[tuple[str, ...], type[Struct]] = {
    (): Guest,
    ("agent",): AgentSource,
    ("qemu",): Qemu,
    ("qemu", "ssh"): Ssh,
    ("qemu", "console", "*"): ConsoleStep,
    ("qemu", "debian"): DebianKernel,
    ("qemu", "image"): Image,
    ("qemu", "image", "checked"): Checked,
    ("vagrant",): Vagrant,
    ("vagrant", "ssh"): Ssh,
    ("vagrant", "boxes", "*"): Box,
    ("vagrant", "boxes", "*", "checked"): Checked,
    ("host",): Host,
    ("gvisor",): Gvisor,
    ("gvisor", "debian"): DebianKernel,
    ("ssh",): Remote,
    ("only_on",): OnlyOn,
}
"""The struct with the allowed keys of each place; `*` stands for any name, or item of a list."""

OURS = ("name", "source", "copy")
"""Fields of a guest that are not keys of its file."""

NAMED = frozenset({("vagrant", "boxes"), ("qemu", "console")})
"""Lists, and mappings whose keys are any names (`*`)."""


def load(folders: Sequence[Path]) -> Mapping[str, Guest]:
    """Read every `*.yaml` and `*.yml`; return the guests by name.

    A guest in a later folder replaces one with the same name in an earlier folder. Raise
    `FileError` for the first mistake. Files that a guest refers to are not checked here: its
    provider reports them when it starts the guest.
    """
    found: dict[str, Guest] = {}
    for folder in folders:
        if not folder.is_dir():
            hint = "name a folder that holds *.yaml files with --guests"
            raise FileError(folder, None, "is not a folder of guest files", hint=hint)
        for name, guest in _load_folder(folder).items():
            if name in found:
                logger.info("%s: %s replaces that of %s", guest.source, name, found[name].source)
            found[name] = guest
    return MappingProxyType(found)


def _load_folder(folder: Path) -> dict[str, Guest]:
    found: dict[str, Guest] = {}
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        for name, node in _entries(path):
            if name in found:
                other = found[name].source
                raise FileError(path, node.line, f"guest `{name}` is already in {other}")
            found[name] = _guest(path, name, node)
    return found


def _entries(path: Path) -> Iterator[tuple[str, Node]]:
    """Yield the guests of a file: one with `name`, or several `releases` with common defaults."""
    root = read(path)
    if not isinstance(root.value, dict):
        raise FileError(path, root.line, "expected a mapping with `name` or `releases`")
    rest = {key: node for key, node in root.mapping.items() if key not in ("name", "releases")}
    defaults = Node(root.line, rest)
    if "name" in root.mapping:
        if "releases" in root.mapping:
            line = root.mapping["releases"].line
            raise FileError(path, line, "`name` and `releases` exclude each other")
        named = root.mapping["name"]
        yield _name(path, named.value, named.line), defaults
        return
    releases = root.mapping.get("releases")
    if releases is None or not releases.mapping:
        line = releases.line if releases else root.line
        raise FileError(path, line, "no guest: expected `name`, or `releases` with names")
    for name, node in releases.mapping.items():
        given = Node(node.line, {}) if node.value is None else node
        if not isinstance(given.value, dict):
            raise FileError(path, node.line, f"`{name}`: expected a mapping")
        yield _name(path, name, node.line), given.over(defaults)


def _name(path: Path, name: object, line: int) -> str:
    if not isinstance(name, str) or not GUEST_NAME.fullmatch(name) or name in RESERVED:
        raise FileError(path, line, f"`{name}` cannot be a guest's name ({GUEST_NAME.pattern})")
    return name


def _guest(path: Path, name: str, written: Node) -> Guest:
    node = _moved(path, written)
    _check_keys(path, node, ())
    if "system" not in node.mapping:
        raise FileError(path, node.line, f"guest `{name}` has no `system`")
    guest = _converted(path, name, node)
    check_limits(path, node)
    check_boots(path, node)
    check_addresses(path, node)
    check_console(path, node)
    if not guest.sections:
        wanted = ", ".join(SECTIONS)
        raise FileError(path, node.line, f"guest `{name}` has no provider: expected {wanted}")
    return replace(guest, agent=_agent(path, node, guest))


def _moved(path: Path, node: Node) -> Node:
    """Move `agent` and `root` from `qemu` to the guest, where all providers find them."""
    qemu = node.mapping.get("qemu")
    if qemu is None:
        return node
    keys = dict(node.mapping)
    for key in MOVED:
        if key in qemu.mapping:
            if key in keys:
                line = qemu.mapping[key].line
                raise FileError(path, line, f"`{key}` is also in line {keys[key].line}")
            keys[key] = qemu.mapping[key]
    kept = {key: value for key, value in qemu.mapping.items() if key not in MOVED}
    if qemu.mapping:
        keys["qemu"] = Node(qemu.line, kept)
    return Node(node.line, keys)


def _check_keys(path: Path, node: Node, where: tuple[str, ...]) -> None:
    if where in NAMED:
        for value in node.children.values():
            _check_keys(path, value, (*where, "*"))
        return
    struct = STRUCTS.get(where)
    if struct is None:
        return
    names = [field.encode_name for field in msgspec.structs.fields(struct)]
    known = [name for name in names if where or name not in OURS]
    for key, value in node.mapping.items():
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
            place = ".".join(where) or "a guest"
            raise FileError(path, value.line, f"`{key}` is not a key of {place}", hint=hint)
        _check_keys(path, value, (*where, key))


def _converted(path: Path, name: str, node: Node) -> Guest:
    """Return the guest as it is written; its agent is empty if the file names none."""
    written = _absolute(path, node).mapping
    plain = {key: value.plain() for key, value in written.items()}
    plain |= {"name": name, "source": str(path)}
    if plain.get("agent") is None:
        plain["agent"] = {}
    try:
        return msgspec.convert(plain, Guest)
    except msgspec.ValidationError as exc:
        where, what = expectation(str(exc))
        place, found = _nearest(node, where)
        raise FileError(path, found.line, f"`{place}`: {what}") from exc


def _nearest(node: Node, where: Sequence[str]) -> tuple[str, Node]:
    """Follow a path of keys as far as it exists; return that part of it, and its node."""
    gone: list[str] = []
    for key in where:
        if key in node.children:
            node = node.children[key]
            gone.append(key)
    return ".".join(gone) or "guest", node


def _absolute(path: Path, node: Node) -> Node:
    for where in PATHS:
        found = node.at(where)
        if found and isinstance(found.value, str):
            try:
                absolute = path.parent.absolute() / Path(found.value).expanduser()
            except RuntimeError as exc:
                message = f"`{'.'.join(where)}`: no user here has this home directory"
                raise FileError(path, found.line, message) from exc
            node = _replaced(node, where, str(absolute))
    return node


def _replaced(node: Node, where: Sequence[str], value: str) -> Node:
    if not where:
        return Node(node.line, value)
    inner = _replaced(node.mapping[where[0]], where[1:], value)
    return Node(node.line, {**node.mapping, where[0]: inner})


def _agent(path: Path, node: Node, guest: Guest) -> AgentSource:
    agent, written = guest.agent, node.at(["agent"])
    if written is None or written.value is None:
        if guest.qemu is not None and guest.qemu.debian is not None:
            return AgentSource(target=DEBIAN_TARGET)
        if guest.host is not None:
            return AgentSource(target="host")
        raise FileError(
            path,
            node.line,
            "no `agent`: expected `target`, `build: guest-cc` or `path`",
            hint="for example `agent: {target: x86_64-linux-musl}`",
        )
    given = [name for name in ("target", "build", "path") if getattr(agent, name) is not None]
    if len(given) != 1:
        line = node.mapping["agent"].line
        raise FileError(path, line, f"`agent`: expected one of target, build, path; got {given}")
    if agent.compiled_in is not None and agent.build is None:
        line = node.mapping["agent"].line
        raise FileError(path, line, "`agent.compiled_in` goes with `build: guest-cc` only")
    return agent
