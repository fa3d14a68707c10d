"""A client of QEMU's monitor (QMP): version, forwarded port, saving and resuming the guest.

QEMU picks the forwarded port itself (port 0), so no other program can take it before.
"""

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError
from harness.providers.qemu.inherited_socket import InheritedSocket, Silence
from harness.transport import Alive

POLL = 0.01
"""Seconds between two questions to QEMU about an unfinished task."""

FORWARD = re.compile(r"^\s*TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s", re.MULTILINE)
"""A line of `info usernet` (slirp_connection_info): fd, source address, source port."""

BANDWIDTH = 1 << 40
"""Bytes per second, in effect no limit: QEMU's default is meant for networks, not for files."""


class _RefusedError(BootError):
    """QEMU understood a command and refused it."""


def _nothing() -> None:
    pass


class Monitor(InheritedSocket):
    """A QMP session."""

    def greet(self, deadline: Deadline, alive: Alive) -> str:
        """Begin the session; return QEMU's version."""
        version = self._line(deadline, alive)["QMP"]["version"]
        self.ask("qmp_capabilities", {}, deadline, alive)
        number = ".".join(str(version["qemu"][part]) for part in ("major", "minor", "micro"))
        return f"{number} {version['package']}".strip()

    def forwarded_port(self, deadline: Deadline, alive: Alive) -> int:
        """Return the port on this machine that leads to the guest's SSH."""
        reply = self.human("info usernet", deadline, alive)
        found = FORWARD.search(reply)
        if found is None:
            raise BootError(f"QEMU names no forwarded port: {reply!r}")
        return int(found[1])

    def human(self, command: str, deadline: Deadline, alive: Alive) -> str:
        """Return what a command of QEMU's monitor for people prints."""
        question = {"command-line": command}
        return str(self.ask("human-monitor-command", question, deadline, alive))

    def go_on(self, deadline: Deadline, alive: Alive) -> None:
        """Continue a saved guest: once QEMU has read the state, the guest is still stopped."""
        while self.ask("query-status", {}, deadline, alive)["status"] == "inmigrate":
            time.sleep(POLL)
        self._cont(deadline, alive)

    @contextmanager
    def stopped(self, deadline: Deadline, alive: Alive) -> Iterator[None]:
        """Stop the guest for the block."""
        self.ask("stop", {}, deadline, alive)
        try:
            yield
        finally:
            # Let it run on even if the block failed, or used up its deadline.
            self._cont(deadline.afresh(clocks.GO_ON), alive)

    def save(
        self, into: Path, deadline: Deadline, alive: Alive, beside: Callable[[], None] = _nothing
    ) -> None:
        """Write the guest's state to the file `into`, which appears when complete; run `beside`.

        The guest is stopped until both are done, with its disks written back, and then continues.
        QEMU runs `exec:` as a shell command (docs/devel/migration), so the name is quoted. Raise
        `BootError` if QEMU fails or the deadline passes.
        """
        part, whole = shlex.quote(f"{into}.part"), shlex.quote(str(into))
        with self.stopped(deadline, alive):
            self.ask("migrate-set-parameters", {"max-bandwidth": BANDWIDTH}, deadline, alive)
            self.ask(
                "migrate",
                {"uri": f"exec:umask 077; cat >{part} && mv {part} {whole}"},
                deadline,
                alive,
            )
            # The shell renames the file last, so it exists only when it is complete.
            while not into.exists():
                state = self.ask("query-migrate", {}, deadline, alive)
                if state.get("status") in ("failed", "cancelled"):
                    raise BootError(f"QEMU cannot save it: {state.get('error-desc', state)}")
                if deadline.passed:
                    raise BootError("saving did not end in time")
                time.sleep(POLL)
            beside()

    def _cont(self, deadline: Deadline, alive: Alive) -> None:
        """Continue the guest; QEMU refuses this just after saving ("not finalized yet")."""
        while True:
            try:
                self.ask("cont", {}, deadline, alive)
            except _RefusedError:
                if deadline.passed:
                    raise
                time.sleep(POLL)
            else:
                return

    def ask(
        self,
        command: str,
        arguments: object,
        deadline: Deadline,
        alive: Alive,
        descriptors: Sequence[int] = (),
    ) -> Any:
        """Return what a command returns; raise `BootError` if QEMU refuses it.

        `descriptors` are open files that go with it (docs/interop/qmp-spec: SCM_RIGHTS).
        """
        asked = json.dumps({"execute": command, "arguments": arguments}).encode()
        self.say(asked, alive, descriptors)
        while True:
            reply = self._line(deadline, alive)
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise _RefusedError(f"QEMU's monitor refuses {command}: {reply['error']}")

    def _line(self, deadline: Deadline, alive: Alive) -> Any:
        try:
            return json.loads(self.hear(deadline, alive))
        except Silence as exc:
            raise BootError("QEMU's monitor does not answer") from exc
