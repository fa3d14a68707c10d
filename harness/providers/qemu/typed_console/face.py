"""A side of a guest that is read and typed on, its serial line or its screen, and what was seen.

Characters get lost on real consoles: a getty discards what comes while it opens its line, and a
slow guest overflows. So a line is typed in pieces, each after the echo of the one before.
"""

import re
import time
from collections.abc import Sequence
from typing import Protocol

from harness.deadline import Deadline
from harness.errors import BootError
from harness.model.keyboard import CHARACTERS, CONTROLS, KEYS, Key
from harness.providers.qemu.typed_console.clean_text import KEPT, CleanText
from harness.transport import Alive

ECHO_SECONDS = 2.0
"""For the echo of a few keys, on a fast host."""

ECHO_POLL = 0.02
"""Seconds between two looks for an echo."""

QUIET_SECONDS = 0.3
"""Silence after which a line is taken as erased, or an echo as complete, on a fast host."""

TRIES = 4
"""How often a line is typed whose echo differs."""

UNMISTAKABLE = 8
"""Characters of a line that is taken for an echo wherever it ends a line, not only at first."""

ERASE = CONTROLS["ctrl-u"]
"""Erases the line: the default of terminals (VKILL), of line editors and of the BSDs' loaders."""


class Face(Protocol):
    """What a guest prints, and its keys.

    `poll` is the seconds between two looks, `chunk` the keys to press before their echo, `pace`
    the seconds between two keys whose echo is not waited for. A `stream` shows every character and
    line end, and QEMU writes it to the console's log.
    """

    name: str
    poll: float
    chunk: int
    pace: float
    stream: bool

    def read(self) -> str:
        """Return what was printed since the last call."""
        ...

    def press(self, key: Key) -> None:
        """Press a key."""
        ...


class WatchedFace:
    """A face, and the text on it that was not searched yet; `factor` is the slow-host factor."""

    def __init__(self, face: Face, factor: float, alive: Alive) -> None:
        self.face = face
        self._factor = factor
        self._alive = alive
        self._seen = CleanText()
        self._echoes: list[re.Pattern[str]] = []
        self._unwritten = ""

    def look(self) -> str:
        """Read what is new, and return it; raise `BootError` if the guest is dead."""
        reason = self._alive()
        if reason is not None:
            raise BootError(reason)
        said = self.face.read()
        self._seen.add(said)
        if not self.face.stream:
            self._unwritten = (self._unwritten + said)[-KEPT:]
        return said

    def text(self) -> str:
        """Return the text to search; NULs stand for the echo of what was typed."""
        text = self._seen.text
        for echo in self._echoes:
            text = echo.sub(lambda found: "\0" * len(found[0]), text)
        return text

    def forget(self, count: int) -> None:
        """Forget the first characters of the text."""
        self._seen.drop(count)

    def take_unwritten(self) -> str:
        """Return what was printed since the last call and is not in the console's log."""
        text, self._unwritten = self._unwritten, ""
        return text

    def begin(self) -> None:
        """Begin to type: what is on it now is no answer."""
        self.look()
        self._seen.drop()
        self._echoes = []

    def press(self, keys: Sequence[Key], echo: str) -> None:
        """Press keys without waiting for their `echo`, which may come or not."""
        for key in keys:
            self.face.press(key)
            time.sleep(self.face.pace)
        self._expect(echo)

    def type(self, line: str, limit: Deadline) -> bool:
        """Type a line until it is echoed as it is; return False if it never is. No Enter yet."""
        for _ in range(TRIES):
            self._seen.drop()
            if self._echoed(line, limit):
                self._seen.drop()
                # A shell that was busy echoes the line again when it reads it.
                self._expect(line)
                return True
            self.face.press(ERASE)
            self.quiet(limit)
        return False

    def enter(self, limit: Deadline) -> None:
        """Press Enter; once more if it was lost, which a stream shows: it does not go on."""
        self.face.press(KEYS["enter"])
        patience = limit.within(ECHO_SECONDS * self._factor)
        while self.face.stream and not self.look() and not self._seen.text:
            if patience.passed:
                self.face.press(KEYS["enter"])
                return
            time.sleep(ECHO_POLL)

    def quiet(self, limit: Deadline) -> None:
        """Wait until nothing new comes for a moment."""
        most = limit.within(ECHO_SECONDS * self._factor)
        silence = most.within(QUIET_SECONDS * self._factor)
        while not silence.passed:
            if self.look():
                silence = most.within(QUIET_SECONDS * self._factor)
            time.sleep(self.face.poll)

    def _echoed(self, line: str, limit: Deadline) -> bool:
        for begin in range(0, len(line), self.face.chunk):
            end = begin + self.face.chunk
            for char in line[begin:end]:
                self.face.press(CHARACTERS[char])
            patience = limit.within(ECHO_SECONDS * self._factor)
            while _squeezed(line[:end]) not in _squeezed(self._seen.text):
                if patience.passed:
                    return False
                time.sleep(ECHO_POLL)
                self.look()
        return True

    def _expect(self, line: str) -> None:
        """Note an echo that may come, up to a line end or as far as it has arrived."""
        text = line.strip()
        if text:
            # An editor wraps a long line. A short one is also printed for other reasons.
            where = "" if len(text) >= UNMISTAKABLE else r"\A\s*"
            pattern = where + r"\n?".join(map(re.escape, text)) + r" *(?=\n|\Z)"
            self._echoes.append(re.compile(pattern))


def _squeezed(text: str) -> str:
    """Return the text without blanks and line ends: editors wrap a line that is typed."""
    return "".join(text.split())
