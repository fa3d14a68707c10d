"""A guest's first serial line: what it prints is read from its log, and keys go in by a pipe."""

import os
from collections.abc import Sequence

from harness.deadline import Deadline
from harness.errors import BootError
from harness.machine import guarded
from harness.model.keyboard import Key
from harness.providers.qemu.console import REMEMBERED, Console
from harness.providers.qemu.qmp import Monitor
from harness.transport import Alive

FILES = 1
"""Number of the set of open files in which QEMU gets our pipe (QMP `add-fd`)."""


class SerialLine:
    """Reads and types on the line whose output QEMU writes to the console's log.

    The log stays a file, so nobody has to read for the guest to go on.
    """

    name = "the serial line"
    poll = 0.05
    chunk = 8
    """Keys to press before looking for their echo: half of what a 16550 keeps."""
    pace = 0.02
    stream = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = self._since = console.begin
        self._before = ""
        self._pipe: int | None = None

    def attach(self, monitor: Monitor, deadline: Deadline, alive: Alive) -> None:
        """Connect our pipe to the line's input; QEMU's command line has no option for that."""
        inner, self._pipe = os.pipe()
        try:
            os.set_blocking(self._pipe, False)
            monitor.ask("add-fd", {"fdset-id": FILES}, deadline, alive, (inner,))
        finally:
            os.close(inner)
        files = {"out": str(self._console.path), "in": f"/dev/fdset/{FILES}", "append": True}
        backend = {"type": "file", "data": files}
        monitor.ask("chardev-change", {"id": "console", "backend": backend}, deadline, alive)

    def close(self) -> None:
        """Close the input; the output goes on."""
        if self._pipe is not None:
            os.close(self._pipe)
        self._pipe = None

    def read(self) -> str:
        """Return what was printed since the last call; of a flood only the end."""
        said = self._before + self._up_to(None)
        self._before = ""
        return said

    def remark(self, text: str) -> None:
        """Add a line to the log that is not the guest's, and is not read here."""
        begin, end = self._console.note(text)
        self._before += self._up_to(begin)
        self._next = self._since = end

    def hide(self, secrets: Sequence[str]) -> None:
        """Overwrite what the guest echoed of secrets since the last remark."""
        if secrets:
            self._console.hide(secrets, self._since)

    def _up_to(self, end: int | None) -> str:
        """Return the log from where reading stopped to `end`, or to its own end."""
        path = self._console.path
        if not path.exists():
            return ""
        with guarded.file(path, inside=path.parent) as file:
            size = file.seek(0, os.SEEK_END) if end is None else end
            # The log of a flood is trimmed; then what was not read yet is lost.
            self._next = max(min(self._next, size), size - REMEMBERED)
            file.seek(self._next)
            said = file.read(size - self._next)
            self._next += len(said)
        return said.decode("latin-1")

    def press(self, key: Key) -> None:
        """Type a key."""
        assert self._pipe is not None, "attach it first"
        try:
            os.write(self._pipe, key.serial)
        except OSError as exc:  # full: BlockingIOError; closed: BrokenPipeError
            raise BootError(f"the guest does not read what is typed: {exc.strerror}") from exc
