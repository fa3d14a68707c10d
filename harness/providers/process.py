"""Runs a tool of this machine to its end, within a deadline; the one way providers do so."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.deadline import Deadline
from harness.protocols import Completed

GLANCE = 0.2
"""Seconds between two looks at the deadline, which a cancellation passes at once."""


class ToolTimeoutError(Exception):
    """The tool was still running at the deadline and was ended; translated by whoever ran it."""


def execute(
    argv: Sequence[str],
    deadline: Deadline,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Completed:
    """Run `argv` in a process group of its own, which is killed whole at the deadline.

    A tool that is not there has status 127, as in a shell. Messages are in English (LC_ALL=C), for
    some are read.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as exc:
        return Completed(127, b"", str(exc).encode())
    with process:
        try:
            return _communicate(process, deadline)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _communicate(process: subprocess.Popen[bytes], deadline: Deadline) -> Completed:
    while True:
        try:
            stdout, stderr = process.communicate(timeout=min(GLANCE, deadline.left()))
        except subprocess.TimeoutExpired as exc:
            if deadline.passed:
                raise ToolTimeoutError(f"{process.args!r} did not end in time") from exc
        else:
            return Completed(process.returncode, stdout, stderr)
