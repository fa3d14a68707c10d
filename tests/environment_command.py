"""Runs commands of this program, each in a process of its own that is forked from this one.

This process starts in a hostile environment (`test_environments.py`) and loads everything once; an
interpreter for each command would cost ten times as much. Its arguments: a file for the statuses,
the descriptors that go to files (such as 12), and the commands as JSON, by name.
"""

import importlib
import json
import os
import pkgutil
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fakes import FakeProvider, FakeTransport

import harness
from harness import providers
from harness.cli import main, streams
from harness.deadline import Deadline
from harness.model import Guest
from harness.providers.workshop import Workshop

LEFT_OUT = ("harness.__main__", "harness.pytest_plugin")


class Leased(FakeProvider):
    """Boots fake guests, each with a lease, as every real provider has."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__()
        self._workshop = workshop

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[FakeTransport]:
        """Yield a guest that is written down."""
        with self._workshop.lease(guest), super().boot(guest, deadline) as transport:
            yield transport


def run(statuses: str, captured: str, rows: dict[str, list[str]]) -> None:
    """Run each command and append its name and status to the file."""
    for name, arguments in rows.items():
        child = os.fork()
        if child == 0:
            for descriptor in map(int, captured):
                redirect(f"{statuses}.{name}.{descriptor}", descriptor)
            if "FILE_SIZE" in os.environ:
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["FILE_SIZE"]),) * 2)
            main([os.fsdecode(bytes(one, "latin-1")) for one in arguments])
        _, status = os.waitpid(child, 0)
        # Open only now: a closed standard descriptor must stay closed for the next command.
        with open(statuses, "a", encoding="ascii") as file:
            file.write(f"{name} {os.waitstatus_to_exitcode(status)}\n")


def redirect(path: str, descriptor: int) -> None:
    """Send a descriptor to a file."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(opened, descriptor)
    if opened != descriptor:
        os.close(opened)


if __name__ == "__main__":
    streams.prepare()  # as `main` does, before anything is imported that may write
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if module.name not in LEFT_OUT:
            importlib.import_module(module.name)
    providers.PROVIDERS = {"host": Leased}
    run(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
