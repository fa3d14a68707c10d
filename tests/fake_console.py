"""A console that is typed on: a terminal with an echo, and a script that answers lines."""

from collections.abc import Callable, Mapping, Sequence

from harness.model.keyboard import Key

Answer = Callable[[str], str]


class FakeConsole:
    """A face of a guest. `answer` returns what is printed after a line was entered.

    `lost` are the numbers of the keys that get lost, from 0; `noise` is what something else prints
    just after a key.
    """

    name = "the serial line"
    poll = 0.001
    chunk = 8
    pace = 0.0
    stream = True

    def __init__(
        self,
        first: str,
        answer: Answer,
        *,
        lost: Sequence[int] = (),
        noise: Mapping[int, str] | None = None,
    ) -> None:
        self._unread = first
        self._answer = answer
        self._lost = lost
        self._noise = noise or {}
        self._line = ""
        self._count = 0
        self.echo = True
        self.entered: list[str] = []
        self.printed = first

    def read(self) -> str:
        """Return what was printed since the last call."""
        said, self._unread = self._unread, ""
        return said

    def say(self, text: str) -> None:
        """Print a text."""
        self._unread += text
        self.printed += text

    def press(self, key: Key) -> None:
        """Take a key, as a terminal in canonical mode does."""
        number, self._count = self._count, self._count + 1
        if number in self._lost:
            return
        char = key.serial.decode("ascii")
        if char == "\r":
            self.say("\r\n")
            line, self._line = self._line, ""
            self.entered.append(line)
            self.say(self._answer(line))
        elif char == "\x15":
            self.say("\b \b" * len(self._line))
            self._line = ""
        else:
            self._line += char
            self.say(char if self.echo else "")
        self.say(self._noise.get(number, ""))


class FakeLog:
    """A log that keeps what it was told."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.hidden: list[str] = []

    def remark(self, text: str) -> None:
        """Keep a remark."""
        self.remarks.append(text)

    def hide(self, secrets: Sequence[str]) -> None:
        """Keep what is hidden."""
        self.hidden += secrets
