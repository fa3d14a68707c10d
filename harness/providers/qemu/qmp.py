"""A client of QEMU's monitor (QMP): version, forwarded port, saving and resuming the guest.

QEMU picks the forwarded port itself (port 0), so no other program can take it before.
"""

import json
import re
import shlex
import time
from collections.abc import Callable
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
        self._ask("qmp_capabilities", {}, deadline, alive)
        number = ".".join(str(version["qemu"][part]) for part in ("major", "minor", "micro"))
        return f"{number} {version['package']}".strip()

    def forwarded_port(self, deadline: Deadline, alive: Alive) -> int:
        """Return the port on this machine that leads to the guest's SSH."""
        question = {"command-line": "info usernet"}
        reply = self._ask("human-monitor-command", question, deadline, alive)
        found = FORWARD.search(str(reply))
        if found is None:
            raise BootError(f"QEMU names no forwarded port: {reply!r}")
        return int(found[1])

    def go_on(self, deadline: Deadline, alive: Alive) -> None:
        """Continue a saved guest: once QEMU has read the state, the guest is still stopped."""
        while self._ask("query-status", {}, deadline, alive)["status"] == "inmigrate":
            time.sleep(POLL)
        self._cont(deadline, alive)

    def save(
        self, into: Path, deadline: Deadline, alive: Alive, beside: Callable[[], None] = _nothing
    ) -> None:
        """Write the guest's state to the file `into`, which appears when complete; run `beside`.

        The guest is stopped until both are done, with its disks written back, and then continues.
        QEMU runs `exec:` as a shell command (docs/devel/migration), so the name is quoted. Raise
        `BootError` if QEMU fails or the deadline passes.
        """
        part, whole = shlex.quote(f"{into}.part"), shlex.quote(str(into))
        self._ask("stop", {}, deadline, alive)
        try:
            self._ask("migrate-set-parameters", {"max-bandwidth": BANDWIDTH}, deadline, alive)
            self._ask(
                "migrate",
                {"uri": f"exec:umask 077; cat >{part} && mv {part} {whole}"},
                deadline,
                alive,
            )
            # The shell renames the file last, so it exists only when it is complete.
            while not into.exists():
                state = self._ask("query-migrate", {}, deadline, alive)
                if state.get("status") in ("failed", "cancelled"):
                    raise BootError(f"QEMU cannot save it: {state.get('error-desc', state)}")
                if deadline.passed:
                    raise BootError("saving did not end in time")
                time.sleep(POLL)
            beside()
        finally:
            # Let the guest run on even if saving failed, or used up its deadline.
            self._cont(deadline.afresh(clocks.GO_ON), alive)

    def _cont(self, deadline: Deadline, alive: Alive) -> None:
        """Continue the guest; QEMU refuses this just after saving ("not finalized yet")."""
        while True:
            try:
                self._ask("cont", {}, deadline, alive)
            except _RefusedError:
                if deadline.passed:
                    raise
                time.sleep(POLL)
            else:
                return

    def _ask(self, command: str, arguments: object, deadline: Deadline, alive: Alive) -> Any:
        self.say(json.dumps({"execute": command, "arguments": arguments}).encode(), alive)
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
