"""What a guest file's values have to be beyond their types, and how a wrong type is said."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import FileError
from harness.guests.document import Node

PORTS = (1, 65535)

LIMITS: Mapping[tuple[str, ...], tuple[float, float]] = {
    ("qemu", "memory"): (16, math.inf),
    ("qemu", "cpus"): (1, math.inf),
    ("qemu", "boot_timeout"): (1, math.inf),
    ("qemu", "ssh", "port"): PORTS,
    ("ssh", "port"): PORTS,
}

CHOICES = {("root",): "sudo, doas or none", ("agent", "build"): "guest-cc"}

REASON = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<where>.*)`)?")

SPOKEN = ((" | null", ""), ("array", "a list"), ("object", "a mapping"), ("`", ""))
"""msgspec's words are JSON's; who writes YAML knows others."""


def expectation(message: str) -> tuple[Sequence[str], str]:
    """Return where msgspec found a mistake, and in the words of a guest file what it expected."""
    match = REASON.fullmatch(message)
    where = re.findall(r"\w+", (match and match["where"]) or "")
    what = match["what"] if match else message
    chosen = CHOICES.get(tuple(where))
    if chosen is not None and what.startswith("Invalid enum value "):
        return where, f"expected {chosen}, got {what.removeprefix('Invalid enum value ')}"
    for theirs, ours in SPOKEN:
        what = what.replace(theirs, ours)
    return where, what[:1].lower() + what[1:]


def check_limits(path: Path, node: Node) -> None:
    """Raise `FileError` for a number that is too small or too large (or none)."""
    for where, (least, most) in LIMITS.items():
        found = node.at(where)
        if found is None or not isinstance(found.value, int | float):
            continue
        if not least <= found.value <= most:
            limits = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
            raise FileError(path, found.line, f"`{'.'.join(where)}`: expected {limits}")


def check_boots(path: Path, node: Node) -> None:
    """Raise `FileError` for a `qemu` that says nothing, or two things, of what to boot."""
    qemu = node.at(["qemu"])
    if qemu is None or not isinstance(qemu.value, dict):
        return
    if not qemu.mapping.keys() & {"debian", "kernel", "disk"}:
        raise FileError(path, qemu.line, "`qemu`: expected `debian`, `kernel` or `disk`")
    if {"debian", "kernel"} <= qemu.mapping.keys():
        line = qemu.mapping["kernel"].line
        raise FileError(path, line, "`kernel` and `debian` exclude each other")
