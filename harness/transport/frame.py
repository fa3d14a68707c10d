"""Tells a command's own output from what the start-up files of a login shell print around it.

Many login shells read a start-up file before every command: bash `~/.bashrc`, zsh `~/.zshenv`, csh
`~/.cshrc`, fish `config.fish`. sshd runs `~/.ssh/rc` as well. Each of them may print, and a trap of
the shell prints after the command. So sh prints a line before and after the command, and only what
is between them counts.
"""

import secrets
from collections.abc import Sequence

from harness.protocols import COMPLAINT
from harness.transport.shell import Capture, Streams, checked, quoted


class Frame:
    """The two lines around one command. A random token keeps them apart from all other output."""

    def __init__(self) -> None:
        self._token = secrets.token_hex(6)
        self.begin = f"begin-{self._token}\n".encode()
        self.end = f"@end-{self._token}\n".encode()  # output rarely pauses at an `@`

    def command(self, argv: Sequence[str]) -> str:
        """Return a command line for any login shell that runs `argv` between the two lines.

        Sh joins the two parts of a line. The command itself does not contain the line, because a
        shell with `set -x`, or a forced command, may repeat the command.
        """
        token = self._token
        begin = f'echo begin-""{token}; echo begin-""{token} >&2'
        return quoted(f'{begin}; {checked(argv)}; e=$?; echo @end-""{token}; exit $e')

    def around(self, streams: Streams) -> "FramedStreams":
        """Return the streams of the login shell; what is inside the frame goes to `streams`."""
        return FramedStreams(
            FramedStream(self.begin, self.end, streams.stdout),
            # The line after the command is not printed here: a message shows the end of this
            # stream, and each line that is printed costs a packet.
            FramedStream(self.begin, None, streams.stderr),
        )


class FramedStream:
    """One stream of a login shell. Hands on what comes between the two lines."""

    def __init__(self, begin: bytes, end: bytes | None, inside: Capture) -> None:
        self._begin, self._end = begin, end
        self._inside = inside
        self._held = b""
        self.begun, self.ended = False, False

    def add(self, chunk: bytes) -> None:
        """Take bytes as they arrive; hold back those that may be the start of a marker."""
        if self.ended:
            return
        self._held += chunk
        if not self.begun:
            _, line, rest = self._held.partition(self._begin)
            self.begun = bool(line)
            self._held = rest if line else self._held[-COMPLAINT:]
        if self.begun:
            self._hand_on()

    def _hand_on(self) -> None:
        said, line, _ = self._held.partition(self._end) if self._end else (self._held, b"", b"")
        self.ended = bool(line)
        kept = 0 if self.ended or self._end is None else _overlap(said, self._end)
        self._inside.add(said[: len(said) - kept])
        self._held = said[len(said) - kept :]

    def finish(self) -> bytes:
        """Hand on what was held back; return the end of what came instead of a command's output."""
        held, self._held = self._held, b""
        if self.begun:
            self._inside.add(held)
            return b""
        return held


class FramedStreams:
    """Both streams of a login shell, as `channels.drain` needs them."""

    def __init__(self, stdout: FramedStream, stderr: FramedStream) -> None:
        self.stdout, self.stderr = stdout, stderr
        self.noise = b""

    @property
    def begun(self) -> bool:
        """Whether sh ran: it printed the first line."""
        return self.stdout.begun

    def finish(self) -> None:
        """Hand on what was held back; without a command's output, `noise` is what came instead."""
        self.noise = b"\n".join(filter(None, (self.stdout.finish(), self.stderr.finish())))


def _overlap(said: bytes, line: bytes) -> int:
    """Return how many bytes at the end of `said` may be the start of `line`."""
    sizes = range(min(len(said), len(line) - 1), 0, -1)
    return next((size for size in sizes if said.endswith(line[:size])), 0)
