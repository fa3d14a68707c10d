"""A QEMU process: we start it so that it dies with us, watch whether it dies, and end it."""

import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.deadline import GLANCE, Deadline
from harness.errors import BootError
from harness.leases import Tenancy
from harness.machine import guarded
from harness.machine.process import last_will
from harness.model.guest import Qemu
from harness.providers.qemu.console import Console
from harness.providers.qemu.demise import Demise, unseen
from harness.providers.qemu.login_line import LoginLine
from harness.providers.qemu.qmp import Monitor
from harness.text import plain

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 2.0
"""Limit for QEMU to end after SIGTERM, before it is killed; nothing of its guest is lost then."""

SAID_LIMIT = 64 << 10


class Machine:
    """A running QEMU process with its monitor, login line and console."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        monitor: Monitor,
        line: LoginLine,
        console: Console,
        said: Path,
    ) -> None:
        self._process = process
        self._said = said
        self._expected = False
        self.monitor = monitor
        self.line = line
        self.console = console

    @property
    def folder(self) -> Path:
        """A folder for this guest's files only."""
        return self._said.parent

    def death(self) -> str | None:
        """Return why the guest is dead, None while it lives."""
        demise = self.demise()
        panic = self.console.panic()
        if panic is not None:
            return f"the kernel panicked: {panic}"
        return None if demise is None else demise.sentence

    def demise(self) -> Demise | None:
        """Return how QEMU ended, None while it runs."""
        status = self._process.poll()
        if status is None:
            return None
        return Demise(status, self.said(), self.console.tail())

    def advice(self, qemu: Qemu, *, prints: bool) -> str | None:
        """Return what the guest file should change, if that is known of a guest that failed.

        `prints`: its kernel was told to print on the console, so silence means something.
        """
        demise = self.demise()
        if demise is not None or self.console.panic() is not None:
            return (demise or Demise(0, self.said(), self.console.tail())).advice(qemu)
        return unseen(qemu) if prints and not self.console.tail() else None

    def until_off(self, deadline: Deadline) -> None:
        """Wait until the guest has switched itself off; raise `BootError` if it does not."""
        while (demise := self.demise()) is None:
            if deadline.passed:
                raise BootError(f"it did not switch off within {deadline.seconds:.0f} s")
            time.sleep(GLANCE)
        if demise.status != 0:
            raise BootError(demise.sentence)
        self._expected = True

    def said(self) -> str:
        """Return QEMU's own messages (its standard error)."""
        try:
            with self._said.open("rb") as file:
                return plain(file.read(SAID_LIMIT)).strip()
        except FileNotFoundError:  # a connection may outlive the lease's folder
            return ""

    def leave(self) -> None:
        """Let QEMU live on; a set returncode stops Popen from warning (ResourceWarning)."""
        self._process.returncode = 0

    def end(self, guest: str) -> None:
        """End QEMU, by SIGKILL if SIGTERM does not; reap it, and append its messages to a log."""
        reason = self.death()
        if reason is not None and not self._expected:
            logger.warning("%s ended by itself: %s", guest, reason)
        said = self.said()
        self._process.terminate()
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()
        self.console.trim()
        if said:
            path = self.console.path
            log = path.with_name(f"{path.stem}.qemu.log")
            with guarded.file(log, "ab", inside=log.parent) as file:
                file.write(f"{said}\n".encode(errors="replace"))


@contextmanager
def started(
    command: Callable[[int, int], list[str]], tenancy: Tenancy, console: Console, *, keep: bool
) -> Iterator[Machine]:
    """Start QEMU and yield it; end it with the block, unless its lease is kept by then.

    `command` returns the argv for the descriptors of the monitor and the login line. With `keep`
    QEMU may outlive us, so it does not get the signal that would end it with our thread.
    """
    said = tenancy.folder / "stderr"
    with Monitor() as monitor, LoginLine() as line, said.open("wb") as complaints:
        theirs = (monitor.theirs.fileno(), line.theirs.fileno())
        argv = command(*theirs)
        logger.debug("%s", argv)
        process = subprocess.Popen(
            [*(() if keep else last_will()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            pass_fds=theirs,
            start_new_session=True,  # Ctrl-C must reach only us: we end QEMU in order
        )
        machine = Machine(process, monitor, line, console, said)
        try:
            tenancy.runs(process.pid)
            monitor.release()
            line.release()
            yield machine
        finally:
            if tenancy.lease.kept:
                machine.leave()
            else:
                machine.end(tenancy.lease.guest)
