"""Checks the values of a guest file beyond their types, and words the message for a wrong type."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import FileError
from harness.guests.document import Node
from harness.model.guest import SECTIONS

PORTS = (1, 65535)

ADDRESS = re.compile(r"https?://.+")

NUMBERS: Mapping[tuple[str, ...], tuple[float, float]] = {
    ("memory",): (16, math.inf),
    ("cpus",): (1, math.inf),
    ("boot_timeout",): (1, math.inf),
    ("disk_size",): (1, math.inf),
    ("port",): PORTS,
    ("ssh", "port"): PORTS,
}
"""Smallest and largest value; the same for every provider that has the key."""

LIMITS = {(provider, *where): limits for provider in SECTIONS for where, limits in NUMBERS.items()}

CHOICES = {
    ("root",): "none, sudo, doas or su",
    ("architecture",): "x86_64 or aarch64",
    ("agent", "build"): "guest-cc",
    ("qemu", "seed"): "nocloud",
    ("qemu", "console", "on"): "serial or screen",
}

VAGRANT_PROVIDERS = ("libvirt", "virtualbox", "vmware_desktop", "parallels", "qemu", "tart")
"""Vagrant's providers that the Vagrantfile can set up."""

HOST_KEY = re.compile(r"(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]{32,}=*( .*)?")

IMAGE = "qemu.image"

DIGITS = {"sha256": 64, "sha512": 128}

REASON = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<where>.*)`)?")

SPOKEN = ((" | null", ""), ("array", "a list"), ("object", "a mapping"), ("`", ""))
"""msgspec uses the words of JSON; these are the words that a YAML author knows."""


def expectation(message: str) -> tuple[Sequence[str], str]:
    """Split msgspec's message: return the keys to the mistake, and what YAML was expected."""
    match = REASON.fullmatch(message)
    where = re.findall(r"\w+", (match and match["where"]) or "")
    what = match["what"] if match else message
    chosen = CHOICES.get(tuple(key for key in where if not key.isdigit()))
    if chosen is not None and what.startswith("Invalid enum value "):
        return where, f"expected {chosen}, got {what.removeprefix('Invalid enum value ')}"
    for theirs, ours in SPOKEN:
        what = what.replace(theirs, ours)
    return where, what[:1].lower() + what[1:]


def check_limits(path: Path, node: Node) -> None:
    """Raise `FileError` for a number that is too small, too large, or not a number (NaN)."""
    for where, (least, most) in LIMITS.items():
        found = node.at(where)
        if found is None or not isinstance(found.value, int | float):
            continue
        if not least <= found.value <= most:
            limits = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
            raise FileError(path, found.line, f"`{'.'.join(where)}`: expected {limits}")


def check_boots(path: Path, node: Node) -> None:
    """Raise `FileError` if `qemu` names nothing to boot, or two things that exclude each other."""
    qemu = node.at(["qemu"])
    if qemu is None or not isinstance(qemu.value, dict):
        return
    if not qemu.mapping.keys() & {"debian", "kernel", "disk", "image"}:
        wanted = "expected `debian`, `kernel`, `disk` or `image`"
        raise FileError(path, qemu.line, f"`qemu`: {wanted}")
    if qemu.at(["image", "key"]) is not None:
        for where in (["seed"], ["ssh", "key"]):
            found = qemu.at(where)
            if found is not None:
                message = f"`image.key` and `{'.'.join(where)}` exclude each other"
                raise FileError(path, found.line, message)
    for one, other in (("kernel", "debian"), ("disk", "image")):
        if {one, other} <= qemu.mapping.keys():
            line = qemu.mapping[one].line
            raise FileError(path, line, f"`{one}` and `{other}` exclude each other")


def check_addresses(path: Path, node: Node) -> None:
    """Raise `FileError` for a wrong address, digest, host key, or provider of Vagrant."""
    host_key = node.at(["ssh", "host_key"])
    if host_key is not None and not HOST_KEY.fullmatch(str(host_key.value or "")):
        message = "`ssh.host_key`: expected TYPE BASE64, such as `ssh-ed25519 AAAA…`"
        hint = "`ssh-keyscan HOST` shows it; compare the fingerprint at the machine"
        raise FileError(path, host_key.line, message, hint=hint)
    image = node.at(["qemu", "image"])
    if image is not None:
        _check_address(path, image, IMAGE)
    boxes = node.at(["vagrant", "boxes"])
    if boxes is None:
        return
    if not boxes.mapping:
        wanted = ", ".join(VAGRANT_PROVIDERS)
        raise FileError(path, boxes.line, f"`vagrant.boxes`: expected boxes for any of {wanted}")
    for name, box in boxes.mapping.items():
        if name not in VAGRANT_PROVIDERS:
            known = f"known: {', '.join(VAGRANT_PROVIDERS)}"
            message = f"the Vagrantfile has no provider `{name}`"
            raise FileError(path, box.line, message, hint=known)
        _check_address(path, box, f"vagrant.boxes.{name}")


def _check_address(path: Path, node: Node, place: str) -> None:
    unchecked = node.mapping.get("unchecked")
    if unchecked is not None and unchecked.value and "checked" in node.mapping:
        raise FileError(path, unchecked.line, f"`{place}`: both `checked` and `unchecked`")
    # A box may lie in a file, too.
    for key in ("url", "checksums", "key") if place == IMAGE else ():
        found = node.mapping.get(key)
        if found is not None and not ADDRESS.match(str(found.value)):
            raise FileError(path, found.line, f"`{place}.{key}`: expected https://… or http://…")
    for key, digits in DIGITS.items():
        found = node.mapping.get(key)
        if found is not None and not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", str(found.value)):
            message = f"`{place}.{key}`: expected {digits} hexadecimal digits, in quotes"
            raise FileError(path, found.line, message)
