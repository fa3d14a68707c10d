"""Runs Vagrant's commands: python-vagrant with our deadlines and process groups.

Import this late, and only if Vagrant is installed: else importing python-vagrant warns.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import vagrant
from msgspec import Struct

from harness.deadline import Deadline
from harness.machine import guarded
from harness.machine.process import ToolTimeoutError, execute, last_will
from harness.model import Box
from harness.providers.vagrant.failures import failure
from harness.providers.vagrant.plugins import PROGRAM

GRACE_SECONDS = 15.0
"""Limit for Vagrant to clean up after an interrupt; what it leaves is destroyed afterwards."""


class CommandPlace(Struct, frozen=True):
    """What a guest's commands need: its name and box, Vagrant's environment, the console log.

    `started` is called with the pid of each command.
    """

    name: str
    box: Box
    environment: Mapping[str, str]
    console: Path
    started: Callable[[int], None]


class Commands(vagrant.Vagrant):
    """Vagrant's commands on one guest, under one deadline; they raise what `failure` returns."""

    def __init__(self, place: CommandPlace, deadline: Deadline) -> None:
        super().__init__(place.environment["VAGRANT_CWD"])
        self._place = place
        self._deadline = deadline

    def start(self, provider: str) -> None:
        """Make the guest and wait until Vagrant calls it up."""
        self.up(vm_name=self._place.name, provider=provider, no_provision=True)

    def state(self) -> str:
        """Return the guest's state in Vagrant's words: `running`, `not_created`, …"""
        (status,) = self.status(vm_name=self._place.name)
        return str(status.state)

    def login(self) -> Mapping[str, str]:
        """Return how Vagrant would log in, as `ssh_config` writes it."""
        found: Mapping[str, str] = self.conf(vm_name=self._place.name)
        return found

    def power_off(self) -> None:
        """Power the guest off at once, without a shutdown."""
        self.halt(vm_name=self._place.name, force=True)

    def snapshot(self, verb: str, snapshot: str) -> None:
        """`save`, `restore` or `delete` one guest's snapshot; python-vagrant's methods do all."""
        words = ["snapshot", verb, self._place.name, snapshot]
        self._call_vagrant_command([*words, "--no-provision"] if verb == "restore" else words)

    def snapshots(self) -> tuple[str, ...]:
        """Return the names of the guest's snapshots."""
        said = self._run_vagrant_command(["snapshot", "list", self._place.name])
        # Vagrant's messages are indented or begin with `==>`; python-vagrant does not skip them.
        return tuple(line for line in said.splitlines() if line and line[0] not in " =")

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        """Run a command; write its output to the console log while it runs."""
        self._execute(args, self._place.console)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        """Run a command, append its output to the console log, and return it."""
        said = self._execute(args, None)
        console = self._place.console
        with guarded.file(console, "ab", inside=console.parent) as log:
            log.write(said)
        return said.decode(errors="replace")

    def _execute(self, args: Sequence[str | None], log: Path | None) -> bytes:
        words = [word for word in args if word is not None]
        deadline, box = self._deadline, self._place.box
        try:
            done = execute(
                [*last_will(), PROGRAM, *words],
                deadline,
                environment=self._place.environment,
                log=log,
                grace=GRACE_SECONDS,
                started=self._place.started,
            )
        except ToolTimeoutError as exc:
            over = f"it did not end within {deadline.seconds:.0f} s"
            why = "it was interrupted" if deadline.cancelled else over
            raise failure(words[0], exc.said, box, why) from exc
        if done.status != 0:
            raise failure(words[0], done.stdout + done.stderr, box)
        return done.stdout
