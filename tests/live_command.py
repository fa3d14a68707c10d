"""Runs the command as users do: in its own process, with the user's cache and a separate state.

The cache is shared because kernels are large. The state is separate, so that a test can tell what
it has left running or on disk.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from msgspec import Struct
from owned import machines_of

from harness import guests, leases, matrix
from harness.leases import Lease
from harness.machine.places import NAME, Places
from harness.machine.resources import guests_folder
from harness.matrix import Matrix
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop
from harness.store import journal

MODULE = (sys.executable, "-m", "harness")

LAUNCH = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
LAUNCH += "os.execv(sys.argv[1], sys.argv[1:])"
"""A shell makes its background processes ignore SIGINT, and their children would inherit that."""

PATIENCE = 120.0
"""The limit in seconds for every wait; a run takes a tenth of it on an idle machine."""

GLANCE = 0.05


class Ended(Struct, frozen=True):
    """A command that ended; `peak` is the most memory that its process used, in KiB."""

    status: int
    out: str
    err: str
    peak: int = 0


class Live:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def err(self) -> str:
        """Its output so far."""
        return self._err.read_text(errors="replace")

    def until_said(self, text: str) -> None:
        """Wait until it writes this to standard error."""
        until = time.monotonic() + PATIENCE
        while text not in self.err:
            assert self.process.poll() is None, self.err
            assert time.monotonic() < until, self.err
            time.sleep(GLANCE)

    def ended(self) -> Ended:
        """Wait for its end. VmHWM (proc_pid_status(5)) only grows: the last value is the peak."""
        until, peak = time.monotonic() + PATIENCE, 0
        while self.process.poll() is None:
            assert time.monotonic() < until, self.err
            peak = max(peak, peak_of(self.process.pid))
            time.sleep(GLANCE)
        out = self._out.read_text(errors="replace")
        return Ended(self.process.returncode, out, self.err, peak)


def peak_of(pid: int) -> int:
    """Return the peak resident memory of a process in KiB; 0 if the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


class Here:
    """A place to start commands: a folder, a state, and the processes that belong to it."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.command: Sequence[str] = MODULE
        self.places = Places(Places.of_user().cache, folder / "state" / NAME)
        self.environment: dict[str, str] = {
            **os.environ,
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "NO_COLOR": "1",
            **(environment or {}),
        }
        self._count = 0

    def __call__(self, *words: str) -> Ended:
        """Run a command to its end."""
        with self.start(*words) as live:
            return live.ended()

    @contextmanager
    def start(self, *words: str) -> Iterator[Live]:
        """Start a command; kill it if it outlives the block."""
        self._count += 1
        out, err = (self.folder / f"{self._count}.{name}" for name in ("out", "err"))
        with (
            out.open("wb") as stdout,
            err.open("wb") as stderr,
            subprocess.Popen(
                [sys.executable, "-c", LAUNCH, *self.command, *words],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.folder,
                env=self.environment,
            ) as process,
        ):
            try:
                yield Live(process, out, err)
            finally:
                if process.poll() is None:
                    process.kill()

    def matrix(self, run: str = "run") -> Matrix:
        """Read the matrix of a run."""
        return matrix.decode((self.folder / run / "matrix.json").read_bytes())

    def journal(self, run: str = "run") -> tuple[journal.Line, ...]:
        """Read the journal of a run."""
        return journal.read(self.folder / run / "journal.jsonl").lines

    def leases(self) -> tuple[Lease, ...]:
        """Return the leases of this state."""
        return leases.leases(self.places)

    def machines(self) -> list[int]:
        """Return the pids of QEMUs of this state."""
        return machines_of(self.places.state)

    def processes(self) -> list[str]:
        """Return the command lines of all processes with this state, including tools."""
        found = []
        for process in psutil.process_iter():
            try:
                state = process.environ().get("XDG_STATE_HOME")
                words, status = process.cmdline(), process.status()
            except psutil.Error:
                continue
            if state == str(self.folder / "state") and status != psutil.STATUS_ZOMBIE:
                found.append(" ".join(words))
        return found

    def until_machine(self) -> int:
        """Wait for a QEMU of this state, and return its pid."""
        until = time.monotonic() + PATIENCE
        while not (found := self.machines()):
            assert time.monotonic() < until
            time.sleep(GLANCE)
        return found[0]

    def left(self) -> list[str]:
        """Return what is left of guests: processes, leases, files."""
        files = [*self.places.state.glob("leases/*"), *self.places.state.glob("guests/*")]
        return [*map(str, self.machines()), *map(str, files)]


def need_guest(name: str) -> None:
    """Skip, with the reason, what this machine cannot boot."""
    guest = guests.load([guests_folder()])[name]
    refusal = QemuProvider(Workshop(Places.of_user(), Path)).refusal(guest)
    if refusal is not None:
        pytest.skip(f"{name}: {refusal}")
