"""Writes a server as the plan that the agent carries out (docs/wire.md, "restart")."""

import re
from collections.abc import Iterator, Mapping

from harness.model.server import On, Server
from harness.servers.steps import longer

VERSION = 1


def plan_name(server: str) -> str:
    """Return the name of the plan's file, beside the agent's program."""
    return f"server-{server}"


def plan(
    server: Server, system: str, *, root: str = "", missing: str = "", factor: float = 1.0
) -> bytes:
    """Return the plan for a guest of this system.

    `root` is the folder in the guest that the server's packages are unpacked in; empty if the guest
    itself has them. `missing` is why they cannot be had; then the plan only says that. `factor` is
    how much slower than a fast host the guest may be.
    """
    differing = server.on.get(system, On())
    values = {**server.values, **differing.values}
    if not server.known_on(system):
        missing = f"its file says nothing about {system}"
    elif differing.unsupported:
        missing = differing.unsupported
    lines = [
        f"plan {VERSION}",
        *([f"unsupported {server.name}: {_line(missing)}"] if missing else ()),
        *([f"root {root}"] if root else ()),
        *_needs(server, differing),
        f"protocol {server.protocol}",
        *(["once"] if server.once else ()),
        f"workers {server.workers}",
        *_talk(server),
        *_files(server, values),
        f"start {_line(server.start if differing.start is None else differing.start)}",
        *([f"pid {server.pid}"] if server.pid else ()),
        f"ready {round(server.ready * 1000 * factor)}",
        *_steps(server, factor),
        "end\n",
    ]
    return b"\n".join(one if isinstance(one, bytes) else _filled(one, values) for one in lines)


Line = str | bytes
"""A line of the plan, and what may have placeholders; bytes have none."""


def _needs(server: Server, differing: On) -> Iterator[Line]:
    if server.root:
        yield "need root"
    programs = server.programs if differing.programs is None else differing.programs
    yield from (f"program {one}" for one in programs)
    for why, line in server.needs.items():
        yield f"check {_line(line)}"
        yield f"lacks {_line(why)}"


def _talk(server: Server) -> Iterator[Line]:
    for word, text in (("request", server.request), ("answer", server.answer)):
        if text:
            yield f"{word} {len(octets(text))}"
            yield octets(text)


def _files(server: Server, values: Mapping[str, str]) -> Iterator[Line]:
    for name, text in server.files.items():
        content = _filled(text, values)
        yield f"file {name} {len(content)}"
        yield content


def _steps(server: Server, factor: float) -> Iterator[Line]:
    for name, steps in server.ways.items():
        yield f"way {name}"
        yield from (f"step {longer(step, factor)}" for step in steps)
    yield "stop"
    yield from (f"step {longer(step, factor)}" for step in server.stop)


def octets(text: str) -> bytes:
    r"""Return the bytes of a request or an answer: `\xNN` is one byte, `\r` and `\n` as in C."""
    named = text.replace(r"\r", r"\x0d").replace(r"\n", r"\x0a")
    pieces = re.split(r"\\x([0-9a-fA-F]{2})", named)
    found = (bytes.fromhex(one) if odd % 2 else one.encode() for odd, one in enumerate(pieces))
    return b"".join(found)


def _filled(text: str, values: Mapping[str, str]) -> bytes:
    """Replace the names of `values` in braces. The agent replaces the port and the others."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.encode()


def _line(text: str) -> str:
    return " ".join(text.split())
