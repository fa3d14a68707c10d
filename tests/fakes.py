"""Fakes of `Transport` and `Provider`: guests whose agent gives recorded answers (tests/data).

The answer to a question is the recording with the same parameters, apart from those that only
control how it is run. A question without a recording is `unsupported`, as with a real agent.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import recorded_matrix

from harness.agent import Agent, Question
from harness.deadline import Deadline
from harness.errors import BootError, GuestLostError, NotRunError, Phase
from harness.model import Guest
from harness.protocols import NO_ROOT, Completed, Sink
from harness.scenarios import SCRIPTS
from harness.wire.script import Script

DEFAULTS = {
    **recorded_matrix.DEFAULTS,
    "listeners": "4",
    "flows": "400",
    "ports": "2",
    "round": "20000",
    "pace": "full",
}
"""Recordings of a kernel that spreads flows: one that was asked to confirm an order did not."""

Lines = list[dict[str, object]]


@cache
def recordings(scenario: str) -> Sequence[Lines]:
    """Return the recorded replies to a scenario's questions."""
    paths = sorted((recorded_matrix.DATA / scenario).glob("*.jsonl"))
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]


def point(parameters: object) -> dict[str, str]:
    """Return the parameters that distinguish questions, with defaults filled in."""
    assert isinstance(parameters, dict)
    return {name: parameters.get(name, default) for name, default in DEFAULTS.items()}


def reply(line: str) -> str:
    """Answer a line of a batch."""
    name, scenario, *pairs = line.split()
    parameters = dict(pair.split("=", 1) for pair in pairs)
    for recorded in recordings(scenario):
        begin = recorded[0]
        spreads = "confirm" not in str(begin["parameters"])
        if scenario == "facts" or (spreads and point(begin["parameters"]) == point(parameters)):
            said = [begin | {"id": name, "parameters": parameters}, *recorded[1:]]
            said = confirmed(said, SCRIPTS[scenario](parameters))
            break
    else:
        begin = {"event": "begin", "wire": 1, "id": name, "scenario": scenario}
        begin |= {"token": "0" * 16, "parameters": parameters}
        said = [begin, {"event": "unsupported", "why": "nobody recorded it"}]
        said += [{"event": "end", "took": 1, "gap": 0}]
        said += [{"event": "exit", "id": name, "status": 77, "signal": 0}]
    said = [one | {"id": name} if one["event"] == "exit" else one for one in said]
    return "".join(f"{json.dumps(one, separators=(',', ':'))}\n" for one in said)


def confirmed(said: Lines, script: Script) -> Lines:
    """Add the phases that confirm an order: an agent leaves them empty if flows are spread."""
    lines = list(said)
    place = 0
    for phase in script.phases:
        found = [at for at, line in enumerate(lines) if line.get("phase") == phase]
        if not found and place:
            empty: Mapping[str, object] = {"fates": [], "ports": [], "started": [], "took": []}
            lines.insert(place + 1, {"event": "flows", "phase": phase, **empty})
        place = found[0] if found else place + (place > 0)
    return lines


def heard(agent: Agent, *questions: Question, timeout: float, jobs: int = 1) -> bytes:
    """Return an agent's output for these questions."""
    said = bytearray()
    agent.ask(questions, timeout, jobs, into=said.extend)
    return bytes(said)


class FakeTransport:
    """A guest that understands only the commands that the harness uses."""

    def __init__(self, answer: Callable[[str], str] = reply) -> None:
        self._answer = answer
        self._closed = threading.Event()
        self.provenance: Mapping[str, str] = {
            "provider": "fake",
            "accelerator": "none",
            "cpus": "1",
            "slow_factor": "1",
            "loopback": "up",
        }

    folders = ("/tmp",)
    server_root = NO_ROOT

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        into: Sink | None = None,
        **limits: float | None,
    ) -> Completed:
        """Make the agent's folder, act as the agent, or remove the folder."""
        if self._closed.is_set():
            raise GuestLostError(Phase.SCENARIO, "the connection is closed")
        if argv[0] == "uname":
            return Completed(0, b"Linux\n", b"")
        if argv[0] == "sh":
            return Completed(0, b"/tmp\nLinux x86_64\n0\nroot\n", b"")
        if argv[0] == "rm":
            return Completed(0, b"", b"")
        if argv[1] != "batch":
            return Completed(77, b"", b"")
        assert into is not None
        self.batch(stdin.decode().splitlines(), into)
        return Completed(0, b"", b"")

    def batch(self, lines: Sequence[str], into: Sink) -> None:
        """Answer each question."""
        for line in lines:
            into(self._answer(line).encode())
            if self._closed.is_set():
                raise GuestLostError(Phase.SCENARIO, "the connection was closed")

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        """Accept the agent; its content does not matter."""

    def interactive(self, argv: Sequence[str] | None) -> int:
        """Return the first argument as the status."""
        return int(argv[0]) if argv else 0

    def close(self) -> None:
        """Break the connection."""
        self._closed.set()


class FakeProvider:
    """Boots fake guests; `answers` are per guest, guests in `dead` never come up."""

    def __init__(
        self,
        answers: Mapping[str, Callable[[str], str]] | None = None,
        dead: Sequence[str] = (),
        missing: Sequence[str] = (),
    ) -> None:
        self._answers = answers or {}
        self._dead = dead
        self._missing = missing
        self.up: list[str] = []
        self.booted: list[str] = []

    def refusal(self, guest: Guest) -> str | None:
        """Refuse the guests in `missing`, and those whose agent must be compiled."""
        if guest.agent.path is None:
            return "a real guest"
        return "no hypervisor for it" if guest.name in self._missing else None

    def download(self, guest: Guest) -> str | None:
        """Need nothing."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[FakeTransport]:
        """Yield a guest, and list it in `up` during the block."""
        reason = self.refusal(guest)
        if reason is not None:
            raise NotRunError(f"{guest.name}: {reason}")
        if deadline.passed:
            raise BootError("there is no time left for a boot")
        self.booted.append(guest.name)
        if guest.name in self._dead:
            raise BootError("no SSH- within 60 s", console="Kernel panic - not syncing")
        self.up.append(guest.name)
        transport = FakeTransport(self._answers.get(guest.name, reply))
        try:
            yield transport
        finally:
            transport.close()
            self.up.remove(guest.name)
