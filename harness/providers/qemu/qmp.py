"""QEMU's monitor over a socket that it inherited: which port it holds, and its version.

QEMU picks the forwarded port itself (port 0), so that it is never free for somebody else.
"""

import json
import re
import socket
import time
from collections.abc import Callable
from types import TracebackType

from harness.deadline import Deadline
from harness.errors import BootError

GLANCE = 0.1

CLOSING_SECONDS = 2.0

REPLY_LIMIT = 1 << 20

FORWARD = re.compile(r"^\s*TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s", re.MULTILINE)
"""A line of `info usernet` (slirp_connection_info): fd, source address, source port."""

Alive = Callable[[], str | None]


class Monitor:
    """A QMP session; `theirs` goes to QEMU (`-chardev socket,fd=`), ours stays."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.settimeout(GLANCE)
        self._read = b""

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.theirs.close()
        self._ours.close()

    def release(self) -> None:
        """Give up our copy of QEMU's end, so that its end is seen."""
        self.theirs.close()

    def greet(self, deadline: Deadline, alive: Alive) -> str:
        """Begin the session; return QEMU's version."""
        greeting = json.loads(self._line(deadline, alive))
        self._ask({"execute": "qmp_capabilities"}, deadline, alive)
        version = greeting["QMP"]["version"]
        number = ".".join(str(version["qemu"][part]) for part in ("major", "minor", "micro"))
        return f"{number} {version['package']}".strip()

    def forwarded_port(self, deadline: Deadline, alive: Alive) -> int:
        """Return the port on this machine that leads to the guest's SSH."""
        question = {"command-line": "info usernet"}
        reply = self._ask(
            {"execute": "human-monitor-command", "arguments": question}, deadline, alive
        )
        found = FORWARD.search(str(reply))
        if found is None:
            raise BootError(f"QEMU names no forwarded port: {reply!r}")
        return int(found[1])

    def _ask(self, question: object, deadline: Deadline, alive: Alive) -> object:
        try:
            self._ours.sendall(json.dumps(question).encode() + b"\n")
        except OSError as exc:
            raise self._closed(alive) from exc
        while True:
            reply = json.loads(self._line(deadline, alive))
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise BootError(f"QEMU's monitor refuses {question}: {reply['error']}")

    def _line(self, deadline: Deadline, alive: Alive) -> bytes:
        while b"\n" not in self._read:
            reason = alive()
            if reason is not None:
                raise BootError(reason)
            if deadline.passed or len(self._read) > REPLY_LIMIT:
                raise BootError("QEMU's monitor does not answer")
            try:
                said = self._ours.recv(65536)
            except TimeoutError:
                continue
            except OSError as exc:  # it ended without having read all that we asked: a reset
                raise self._closed(alive) from exc
            if not said:
                raise self._closed(alive)
            self._read += said
        line, _, self._read = self._read.partition(b"\n")
        return line

    @staticmethod
    def _closed(alive: Alive) -> BootError:
        """Say why the monitor closed: QEMU's descriptors go before its exit status comes."""
        until = Deadline(CLOSING_SECONDS)
        while (reason := alive()) is None and not until.passed:
            time.sleep(0.01)
        return BootError(reason or "QEMU closed its monitor")
