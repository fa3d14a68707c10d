"""Types a guest file's `console` on a booting guest: waits for each step's text, and answers it.

What we typed is never taken for what a step waits for, because its echo is left out.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.deadline import Deadline
from harness.errors import BootError
from harness.model.console_step import ConsoleStep
from harness.model.keyboard import CHARACTERS, key_of
from harness.providers.qemu.console import masked
from harness.providers.qemu.typed_console.face import TRIES, Face, WatchedFace
from harness.providers.qemu.typed_console.prompts import LOGIN, Found, find, wanted
from harness.text import visible
from harness.transport import Alive

ANSWERS = 2
"""How often a login prompt is answered that comes again, because its getty was started anew."""

SHORT = 8
"""Characters below which a secret may also be an ordinary word, so it is hidden only at once."""

WORD = 20
"""Characters of the longest word around a key's own: `ssh-ed25519`, `-----BEGIN`."""

SHOWN = 60
"""Characters of a text in a message."""


class Log(Protocol):
    """The console's log."""

    def remark(self, text: str) -> None:
        """Write down a sentence that is not the guest's."""
        ...

    def hide(self, secrets: Sequence[str]) -> None:
        """Remove secrets from what the guest printed since the last remark."""
        ...


class Typist:
    """Carries out console steps on the faces of one guest, by the names that steps have for them.

    `values` are what the placeholders stand for; `factor` is the guest's slow-host factor.
    """

    def __init__(
        self,
        faces: Mapping[str, Face],
        log: Log,
        values: Mapping[str, str],
        factor: float,
        alive: Alive,
    ) -> None:
        self._faces = {name: WatchedFace(face, factor, alive) for name, face in faces.items()}
        self._log = log
        self._values = values
        self._factor = factor
        self._secrets: list[str] = []

    def carry_out(self, steps: Sequence[ConsoleStep], limit: Deadline) -> None:
        """Do all steps; raise `BootError` if a step's text does not come, or a refusal does."""
        for number, step in enumerate(steps, 1):
            found, answers = self._until(number, step, limit), 0
            while number > 1 and answers < ANSWERS and _again(steps[number - 2], step, found):
                answers += 1
                self._log.remark(f"console step {number - 1}: its prompt came again")
                self._answer(number - 1, steps[number - 2], limit)
                found = self._until(number, step, limit)
            if found.refusal is not None:
                raise _refused(number, step, found, answers)
            self._log.remark(f"console step {number}: {_said(step, found)}")
            self._answer(number, step, limit)
        if steps:
            self._faces[steps[-1].on].quiet(limit)
            self._write_down()

    def _until(self, number: int, step: ConsoleStep, limit: Deadline) -> Found:
        """Wait for a step's text or a refusal, and forget everything up to it."""
        pattern, watched = wanted(step), self._faces[step.on]
        patience = limit.within(step.timeout * self._factor)
        looked, doubted = None, None
        try:
            while not patience.passed:
                watched.look()
                text = watched.text()
                found = find(pattern, text) if text != looked else doubted
                # A refusal must be there twice: a line that has not arrived in full looks like one.
                if found is not None and (found.refusal is None or found == doubted):
                    watched.forget(found.end)
                    return found
                looked, doubted = text, found
                time.sleep(watched.face.poll)
        finally:
            self._write_down()
        raise BootError(
            f"console step {number}: {_short(step.wait or step.match)} did not come on "
            f"{watched.face.name} within {patience.seconds:.0f} s",
            hint="the console's end shows what came instead; `timeout` of the step allows more",
        )

    def _write_down(self) -> None:
        """Bring the log up to date, without secrets."""
        self._log.hide(self._secrets)
        for watched in self._faces.values():
            shown = watched.take_unwritten()
            if shown.strip():
                text = masked(shown, self._secrets)
                self._log.remark(f"{watched.face.name} showed:\n{text}")
        self._secrets = [secret for secret in self._secrets if len(secret) >= SHORT]

    def _answer(self, number: int, step: ConsoleStep, limit: Deadline) -> None:
        """Type what a step sends."""
        if step.send is None and not step.keys:
            return
        watched = self._faces[step.on]
        watched.begin()
        if step.send is None:
            keys = [key for name in step.keys if (key := key_of(name)) is not None]
            echo = "".join(key.serial.decode("ascii") for key in keys)
            watched.press(keys, "".join(filter(str.isprintable, echo)))
            return
        for line in self._lines(step.send):
            if step.secret:
                self._secrets.append(line)
                watched.press([CHARACTERS[char] for char in line], line)
            elif not watched.type(line, limit):
                self._write_down()
                raise _unechoed(number, step, watched.face)
            watched.enter(limit)

    def _lines(self, text: str) -> Sequence[str]:
        """Return the lines to type, with the values of the placeholders."""
        for name, value in self._values.items():
            if f"{{{name}}}" in text:
                self._secrets += [word for word in value.split() if len(word) > WORD]
                text = text.replace(f"{{{name}}}", value.strip())
        return text.splitlines() or [""]


def _again(before: ConsoleStep, step: ConsoleStep, found: Found) -> bool:
    """Return whether the login prompt that the step before answered came again."""
    asked = LOGIN.search(found.text) is not None and found.refusal is not None
    waited = (before.wait or before.match or "").rstrip(" $").lower().endswith("ogin:")
    return asked and waited and before.on == step.on


def _said(step: ConsoleStep, found: Found) -> str:
    typed = _short(step.send)
    if step.send is None:
        typed = "the keys " + " ".join(step.keys) if step.keys else "nothing"
    elif step.secret:
        typed = "a secret"
    return f"saw {_short(found.text)}, types {typed}"


def _short(text: str | None) -> str:
    first, *more = (text or "").strip().splitlines() or [""]
    shown = visible(first)
    return f"`{shown[:SHOWN]}`" + (" ..." if more or len(shown) > SHOWN else "")


def _refused(number: int, step: ConsoleStep, found: Found, answers: int) -> BootError:
    again = f" again, {answers + 1} times answered" if answers else ""
    return BootError(
        f"console step {number}: the guest {found.refusal}{again} ({_short(found.text)}), and "
        f"{_short(step.wait or step.match)} did not come",
        hint="correct the steps of `console` in the guest file",
    )


def _unechoed(number: int, step: ConsoleStep, face: Face) -> BootError:
    return BootError(
        f"console step {number}: typed {TRIES} times, and {face.name} never showed "
        f"{_short(step.send)} as it was typed",
        hint="`secret: true` is for what a guest does not echo, such as a password",
    )
