"""Connects the user's terminal to a session in the guest: sends keys and window sizes."""

import os
import selectors
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko
from msgspec import Struct

CHUNK = 1 << 16

POLL_SECONDS = 0.25
"""How often the window size is checked. A SIGWINCH handler would apply to the whole process and
could only be set in its main thread."""

STATUS_SECONDS = 5.0
"""The wait for the exit status after a session has ended; some servers send none."""


class UnwrittenError(Exception):
    """The session's output cannot be written here; the cause is an `OSError`.

    It is not an `OSError` itself, as that would look like a broken connection.
    """


class Terminal(Struct, frozen=True):
    """Three descriptors: where keys come from, where output and errors go."""

    source: int = 0
    sink: int = 1
    errors: int = 2

    @property
    def interactive(self) -> bool:
        """Whether this is a real terminal, so that the guest needs a pseudo-terminal."""
        return os.isatty(self.source) and os.isatty(self.sink)


STANDARD_TERMINAL = Terminal()


def begin(channel: paramiko.Channel, command: str | None, terminal: Terminal) -> None:
    """Start `command`, or the login shell, in the channel."""
    if terminal.interactive:
        columns, lines = os.get_terminal_size(terminal.sink)
        channel.get_pty(os.environ.get("TERM", "vt100"), columns, lines)
    if command is None:
        channel.invoke_shell()
    else:
        channel.exec_command(command)  # nosec B601  # quoted by login_command


def relay(channel: paramiko.Channel, terminal: Terminal) -> int:
    """Copy bytes both ways until the session ends; return its status, or -1 if it has none."""
    # select(), because epoll rejects standard input from a regular file.
    with _raw(terminal), selectors.SelectSelector() as selector:
        selector.register(channel.fileno(), selectors.EVENT_READ)
        keys = _Keystrokes(channel, terminal, selector)
        while True:
            ended = channel.eof_received or channel.closed  # before reading: then no data follows
            if not _show(channel, terminal):
                if ended:
                    break
                selector.select(POLL_SECONDS if not keys.pending else POLL_SECONDS / 10)
            if not ended:
                keys.send()
    channel.status_event.wait(STATUS_SECONDS)
    return channel.exit_status


class _Keystrokes:
    """Sends what is typed. It reads more only after all of it was sent, so output never waits."""

    def __init__(
        self, channel: paramiko.Channel, terminal: Terminal, selector: selectors.BaseSelector
    ) -> None:
        self.pending = b""
        self._channel = channel
        self._terminal = terminal
        self._selector = selector
        self._size = self._measure()
        self._listen()

    def send(self) -> None:
        """Send what was typed, and a changed window size, without waiting."""
        self._resize()
        if not self.pending and self._typed():
            self.pending = os.read(self._terminal.source, CHUNK)
            self._selector.unregister(self._terminal.source)
            if not self.pending:
                self._channel.shutdown_write()
        if self.pending and self._channel.send_ready():
            self.pending = self.pending[self._channel.send(self.pending) :]
            if not self.pending:
                self._listen()

    def _listen(self) -> None:
        self._selector.register(self._terminal.source, selectors.EVENT_READ)

    def _typed(self) -> bool:
        return any(key.fd == self._terminal.source for key, _ in self._selector.select(0))

    def _measure(self) -> os.terminal_size | None:
        return os.get_terminal_size(self._terminal.sink) if self._terminal.interactive else None

    def _resize(self) -> None:
        size = self._measure()
        if size is not None and size != self._size:
            self._size = size
            self._channel.resize_pty(*size)


def _show(channel: paramiko.Channel, terminal: Terminal) -> bool:
    if out := channel.recv_ready():
        _write(terminal.sink, channel.recv(CHUNK))
    if err := channel.recv_stderr_ready():
        _write(terminal.errors, channel.recv_stderr(CHUNK))
    return out or err


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as exc:
        raise UnwrittenError from exc


@contextmanager
def _raw(terminal: Terminal) -> Iterator[None]:
    """Put the terminal into raw mode, so that Ctrl-C goes to the guest; restore it afterwards."""
    if not terminal.interactive:
        yield
        return
    before = termios.tcgetattr(terminal.source)
    tty.setraw(terminal.source, termios.TCSADRAIN)  # keeps what was typed ahead
    try:
        yield
    finally:
        termios.tcsetattr(terminal.source, termios.TCSADRAIN, before)
