"""Checks the steps of `qemu.console` in a guest file: what is waited for, and what is typed."""

import math
import re
from pathlib import Path

from harness.errors import FileError
from harness.guests.document import Node
from harness.model.console_step import PLACEHOLDERS
from harness.model.keyboard import CHARACTERS, KEYS, key_of

WHERE = ("qemu", "console")

PLACEHOLDER = re.compile(r"(?<!\$)\{(\w*key\w*)\}")
"""What looks like a placeholder. `${key}` is a shell's variable."""

LONGEST = 4096
"""The most characters that one step may type, or wait for."""

MOST = 64
"""The most steps of one guest."""


def check_console(path: Path, node: Node) -> None:
    """Raise `FileError` for a step that waits for nothing, or types what no key stands for."""
    console = node.at(WHERE)
    if console is None or not console.children:
        return
    qemu = node.mapping["qemu"].mapping
    if not qemu.keys() & {"disk", "image", "initrd"}:
        message = "`qemu.console`: the built-in initramfs needs no typing"
        raise FileError(
            path, console.line, message, hint="name a `disk`, an `image` or an `initrd`"
        )
    if len(console.children) > MOST:
        raise FileError(path, console.line, f"`qemu.console`: more than {MOST} steps")
    for number, step in console.children.items():
        _check_screen(path, qemu, step)
        _Step(path, f"qemu.console[{number}]", step).check()


def _check_screen(path: Path, qemu: dict[str, Node], step: Node) -> None:
    on, machine = step.at(["on"]), qemu.get("machine")
    if on is None or on.value != "screen" or machine is None:
        return
    if not str(machine.value or "pc").startswith(("pc", "q35")):
        message = f"`qemu.console`: a machine `{machine.value}` has no PC's screen"
        raise FileError(
            path, on.line, message, hint="use `on: serial`, or a `machine` such as `q35`"
        )


class _Step:
    """One step, with what a message needs to name it."""

    def __init__(self, path: Path, place: str, node: Node) -> None:
        self._path = path
        self._place = place
        self._node = node

    def check(self) -> None:
        """Raise `FileError` for the first mistake."""
        given = self._node.mapping
        self._check_wait()
        if given.keys() >= {"send", "keys"}:
            self._refuse("keys", "`send` and `keys` exclude each other")
        if "send" in given:
            self._check_text(str(given["send"].value))
        for key in given["keys"].children.values() if "keys" in given else ():
            if key_of(str(key.value)) is None:
                known = f"one character, ctrl-a to ctrl-z, or {', '.join(KEYS)}"
                self._refuse("keys", f"no key is called `{key.value}`", f"known: {known}")
        timeout = given.get("timeout")
        if timeout is not None and not 1 <= float(str(timeout.value)) < math.inf:
            self._refuse("timeout", "expected 1 or more")

    def _check_wait(self) -> None:
        given = self._node.mapping
        waits = [key for key in ("wait", "match") if key in given]
        if len(waits) != 1:
            self._refuse(None, f"expected one of `wait` and `match`; got {waits}")
        (key,) = waits
        text = str(given[key].value)
        if not text.strip():
            self._refuse(key, "expected a text that is not empty")
        if len(text) > LONGEST:
            self._refuse(key, f"more than {LONGEST} characters")
        if key == "match":
            try:
                pattern = re.compile(text)
            except re.error as exc:
                self._refuse(key, f"is not a regular expression: {exc}")
            else:
                if pattern.match(""):
                    self._refuse(key, "also matches an empty text, so it waits for nothing")

    def _check_text(self, text: str) -> None:
        if len(text) > LONGEST:
            self._refuse("send", f"more than {LONGEST} characters")
        wrong = next((char for char in text if char != "\n" and char not in CHARACTERS), None)
        if wrong is not None:
            self._refuse("send", f"{wrong!r} is not on a US keyboard", "`keys` has other keys")
        for name in PLACEHOLDER.findall(text):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                self._refuse("send", f"no placeholder is called {{{name}}}", f"known: {known}")

    def _refuse(self, key: str | None, message: str, hint: str | None = None) -> None:
        node = self._node if key is None else self._node.mapping[key]
        place = self._place if key is None else f"{self._place}.{key}"
        raise FileError(self._path, node.line, f"`{place}`: {message}", hint=hint)
