"""Runs the real command and sends a signal exactly inside a phase; also the table of phases.

    python faults.py POINT SIGNAL VICTIM WORD...

It wraps the function that belongs to the point, and runs the command with these words. When the
point is first reached, it writes the file `struck` to its folder and sends the signal: to itself
(victim `harness`) or to the QEMU that it started. The harness has no code for this.
"""

import functools
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from harness import leases
from harness.deadline import Cancellation
from harness.machine.pid import start_of

SECOND = "tcp_migrate_req="
"""A text in each question of a run's second batch: the first batch sets no tunable."""

STRUCK = "struck"
"""A file that shows that the point was reached, and when."""

HEARD_SECONDS = 20.0
"""A process that handles a signal does so within a tenth of a second."""

Function = Callable[..., Any]
Strike = Callable[[], None]


class Fault:
    """A signal that is sent once; the phase continues only after it has had its effect."""

    def __init__(self, number: signal.Signals, victim: str) -> None:
        self._number = number
        self._victim = victim
        self._once = threading.Lock()
        self._heard = threading.Event()
        replaced("harness.deadline:Cancellation.say", self._listening)

    def strike(self) -> None:
        """Send it, unless it was already sent."""
        if not self._once.acquire(blocking=False):
            return
        Path(STRUCK).touch()
        if self._victim == "qemu":
            self._end_machine()
            return
        os.kill(os.getpid(), self._number)
        if threading.current_thread() is not threading.main_thread():
            self._heard.wait(HEARD_SECONDS)  # SIGKILL ends this process here

    def _listening(self, say: Function) -> Function:
        def said(cancellation: Cancellation) -> None:
            say(cancellation)
            self._heard.set()

        return said

    def _end_machine(self) -> None:
        (pid,) = [child.pid for child in psutil.Process().children() if _is_machine(child)]
        os.kill(pid, self._number)
        until = time.monotonic() + HEARD_SECONDS
        while start_of(pid) is not None:  # a zombie that its parent has not reaped yet
            assert time.monotonic() < until
            time.sleep(0.01)


def _is_machine(process: psutil.Process) -> bool:
    try:
        return leases.NAME_OPTION in process.cmdline()
    except psutil.Error:
        return False


def replaced(where: str, make: Callable[[Function], Function]) -> None:
    """Replace a function (`module:name` or `module:Class.name`) by what `make` returns for it."""
    module, _, path = where.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    setattr(owner, name, make(getattr(owner, name)))


def always(*_: object) -> bool:
    """Match every call."""
    return True


def before(where: str, when: Callable[..., bool] = always) -> Callable[[Strike], None]:
    """Strike when a function is called with matching arguments, before it does anything."""

    def arm(strike: Strike) -> None:
        def make(original: Function) -> Function:
            def struck(*args: Any, **more: Any) -> Any:
                if when(*args):
                    strike()
                return original(*args, **more)

            return struck

        replaced(where, make)

    return arm


def after(where: str, when: Callable[..., bool] = always) -> Callable[[Strike], None]:
    """Strike when a function that was called with matching arguments has returned."""

    def arm(strike: Strike) -> None:
        def make(original: Function) -> Function:
            def struck(*args: Any, **more: Any) -> Any:
                done = original(*args, **more)
                if when(*args):
                    strike()
                return done

            return struck

        replaced(where, make)

    return arm


def half_written(name: str) -> Callable[[Strike], None]:
    """Strike when half of an append to a file, about the second batch, is written."""

    def arm(strike: Strike) -> None:
        def make(append: Function) -> Function:
            def halved(file: Any, content: bytes) -> Any:
                if file._path.name != name or SECOND.encode() not in content or _begins(content):
                    return append(file, content)
                half = len(content) // 2
                offset = append(file, content[:half])
                strike()
                append(file, content[half:])
                return offset

            return halved

        replaced("harness.store.folder:AppendedFile.append", make)

    return arm


def _begins(content: bytes) -> bool:
    return b'"line":"run"' in content


def _is_answer(_: object, questions: Any, *__: object) -> bool:
    return SECOND in questions[0].line


def _while_asking(strike: Strike) -> None:
    """Strike after the questions were sent, before an answer is read."""
    asking = threading.Event()
    before("harness.agent.installed:Agent.ask", lambda *args: _is_answer(*args) and _set(asking))(
        lambda: None
    )
    before("harness.transport.ssh:drain", lambda *_: asking.is_set())(strike)


def _set(event: threading.Event) -> bool:
    event.set()
    return True


def _compiles(*_: object) -> bool:
    """Wait until the compiler itself runs: `last_will` is then in effect for all its parents."""
    until = time.monotonic() + HEARD_SECONDS
    while not any(one.name() == "zig" for one in psutil.Process().children(recursive=True)):
        assert time.monotonic() < until
        time.sleep(0.01)
    return True


def _is_lease(descriptor: int) -> bool:
    return os.readlink(f"/proc/self/fd/{descriptor}").endswith(".new")


def _is_large(_: object, content: bytes) -> bool:
    return len(content) > 10_000


def _is_saving(_: object, command: str, *__: object) -> bool:
    return command == "query-migrate"


POINTS: Mapping[str, Callable[[Strike], None]] = {
    # download
    "packages": before("harness.providers.packages.debian:Debian.userland"),
    "apt": before(
        "harness.machine.process:_communicate", lambda process, _: "apt-get" in process.args
    ),
    "unpacking": after("multiprocessing.context:SpawnProcess.start"),
    "transfer": after("harness.providers.fetch.http:PartialDownload.begin"),
    # build
    "compiler": after("harness.transport.local:LocalTransport._start", _compiles),
    # boot
    "lease": before("os:fsync", _is_lease),
    "overlay": after("harness.providers.qemu.overlay:make"),
    "started": before("harness.leases:Tenancy.runs"),
    "boot": before("harness.providers.qemu.login_line:LoginLine.until_ready"),
    "saving": before("harness.providers.qemu.qmp:Monitor.ask", _is_saving),
    "back": before("harness.providers.qemu.qmp:Monitor.go_on"),
    # the wait for SSH
    "ssh": after("harness.transport.race:Race._connecting"),
    # push
    "push": after("paramiko:Channel.send", _is_large),
    "facts": before("os:replace", lambda _, final: str(final).endswith("facts.json")),
    # scenario
    "scenario": _while_asking,
    # journal write
    "replies": half_written("agent.jsonl"),
    "journal": half_written("journal.jsonl"),
    "report": before("harness.run.results:write_reports"),
    # destroy
    "destroy": before("harness.providers.qemu.machine:Machine.end"),
    "undone": after("shutil:rmtree", lambda path, *_: Path(path).parent.name == "guests"),
}
"""In the order in which a run reaches them."""


def arm(point: str, number: signal.Signals, victim: str) -> None:
    """Send the signal when this process reaches the point."""
    POINTS[point](Fault(number, victim).strike)


if __name__ == "__main__":
    arm(sys.argv[1], signal.Signals[sys.argv[2]], sys.argv[3])
    from harness.cli import main

    main(sys.argv[4:])
