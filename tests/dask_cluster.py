"""A Dask cluster on loopback, of real processes: a scheduler, and workers with our preload."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from live_command import Ended

ROOT = Path(__file__).parent.parent

PATIENCE = 60.0
"""Seconds that a process of the cluster may take to come up."""

PRELOAD = "harness.cluster.preload"

AT = re.compile(r"Scheduler at: +(\S+)")

JOINED = "Registered to:"


class Process:
    """A process of the cluster, and what it writes."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        """Its output so far."""
        return self._log.read_text(errors="replace")

    def until(self, pattern: str) -> str:
        """Wait until it writes this; return the first group, or all of it."""
        limit = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.said)) is None:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < limit, self.said
            time.sleep(0.05)
        return found[found.lastindex or 0]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)


class Lab:
    """Starts the processes of one cluster; all end with the block."""

    def __init__(self, folder: Path, stack: ExitStack, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
            **environment,
        }
        self._stack = stack
        self._count = 0
        self.address = ""
        self.boss: Process

    def scheduler(self, *more: str) -> Process:
        """Start the scheduler on a free port, and wait for its address."""
        options = ("--port", "0", "--no-dashboard", *(more or ("--host", "127.0.0.1")))
        self.boss = self._start("scheduler", *options)
        self.address = self.boss.until(AT.pattern)
        return self.boss

    def worker(
        self,
        name: str,
        *more: str,
        threads: int = 1,
        preload: str | None = PRELOAD,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a worker without a nanny, and wait until it has joined."""
        options = [self.address, "--name", name, "--nthreads", str(threads), "--no-nanny"]
        options += ["--no-dashboard", "--local-directory", str(self.folder / f"dask-{name}")]
        options += ["--memory-limit", "0", *more]
        options += ["--preload", preload] if preload is not None else []
        started = self._start("worker", *options, environment=environment or {})
        started.until(JOINED)
        return started

    def _start(
        self, kind: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> Process:
        self._count += 1
        log = self.folder / f"{kind}-{self._count}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", kind, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**self.environment, **(environment or {})},
            )
        self._stack.callback(_end, process)
        return Process(process, log)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def lab(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Lab]:
    """Yield a cluster without processes; end those that are started during the block."""
    with ExitStack() as stack:
        yield Lab(folder, stack, environment or {})


def path_of(folder: Path, programs: Sequence[str]) -> str:
    """Return a PATH with a folder that has only these programs of this machine."""
    folder.mkdir()
    for program in programs:
        for place in os.environ["PATH"].split(":"):
            if (Path(place) / program).exists():
                (folder / program).symlink_to(Path(place) / program)
                break
    return str(folder)


def quiet(ended: Ended) -> None:
    """Check that nothing of Dask's own reaches the terminal."""
    for word in (" - distributed", "tornado", "Traceback", "Exception ignored"):
        assert word not in ended.err, ended.err
