"""A trial on a simulated kernel: what every scenario does with members, flows and changes."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from simulated_kernels import GONE, Group, Kernel, newest, turns

from harness.model import State
from harness.scenarios.confirm import asks_addresses, speakers
from harness.wire.observation import Fate


class Trial:
    """A trial on a simulated kernel, which collects the lines that the agent would write."""

    def __init__(self, kernel: Kernel, scenario: str, parameters: Mapping[str, str]) -> None:
        self.kernel, self.scenario, self.parameters = kernel, scenario, dict(parameters)
        self.listeners = int(self.parameters.get("listeners", "4"))
        self.flows = int(self.parameters.get("flows", "400"))
        self.deadline = int(self.parameters.get("deadline", "8000"))
        self.random = random.Random(self.parameters.get("seed", "1"))
        self.group: Group = []
        self.lines: list[dict[str, object]] = []
        self.turn = 0
        self.spread = self.parameters.get("source") == "many-addresses"

    def say(self, event: str, **keys: object) -> None:
        self.lines.append({"event": event, **keys})

    def stand(self, index: int, listens: bool = True) -> bool:
        """Set up a member; return False if the kernel refuses it."""
        error = self.kernel.refused if self.group else None
        rank = len(self.group)
        call = "bind" if error else None
        listen = rank if listens and self.parameters.get("protocol") != "udp" else None
        said = {"bind": None if error else rank, "listen": None if error else listen}
        self.say("member", index=index, **said, call=call, error=error)
        if error is None and listens:
            self.join(index)
        return error is None

    def join(self, index: int) -> None:
        if self.kernel.place and GONE in self.group:
            self.group[self.group.index(GONE)] = index
        else:
            self.group.append(index)

    def standing(self) -> Group:
        return [index for index in self.group if index != GONE]

    def leave(self, index: int, what: str, at: int = 50) -> None:
        error = self.kernel.shutting if what == "shutdown" else None
        self.say("change", what=what, member=index, at=at, error=error)
        if error is not None:
            return
        where = self.group.index(index)
        if self.kernel.place:
            self.group[where] = GONE
        elif self.kernel.swap:
            self.group[where] = self.group[-1]
            self.group.pop()
        else:
            self.group.remove(index)

    def ports(self, count: int | None = None) -> Sequence[int]:
        return self.random.sample(range(10000, 61000), self.flows if count is None else count)

    def serve(self, ports: Sequence[int]) -> list[Fate]:
        group = self.standing()
        choose = (self.kernel.apart if self.spread else None) or self.kernel.choose
        fates = [choose(port, self.turn + i, group) for i, port in enumerate(ports)]
        self.turn += len(ports)
        return fates

    def phase(
        self, name: str, ports: Sequence[int], fates: Sequence[Fate], later: int = 0
    ) -> list[Fate]:
        took = [self.deadline if fate in ("timeout", "open") else 3 for fate in fates]
        started = list(range(later, later + len(ports)))
        self.say("flows", phase=name, fates=fates, ports=ports, started=started, took=took)
        return list(fates)

    def confirm(self, fates: Sequence[Fate], phase: str = "addresses") -> None:
        """Ask with many client addresses, where one member served the last of these flows."""
        if not asks_addresses(self.parameters):
            return
        doubtful = len(set(fates[-16:])) == 1 and len(self.standing()) > 1
        ports = self.ports(64) if doubtful and self.kernel.alone is None else ()
        if doubtful and self.kernel.alone is not None:
            self.say("fact", name="one-address", value=self.kernel.alone)
        self.spread = True
        self.phase(phase, ports, self.serve(ports))
        self.spread = False

    def speak(self, fates: Sequence[Fate]) -> None:
        """Let two members send, and see who serves then."""
        group = self.standing()
        self.spread = False
        sole = fates[-1] if len(set(fates[-16:])) == 1 else None
        for turn, _ in enumerate(speakers(self.parameters), start=1):
            ports = self.ports(16) if isinstance(sole, int) and len(group) > 1 else ()
            if isinstance(sole, int) and ports:
                speaker = (sole + turn) % len(group)
                self.say("fact", name=f"speaker-{turn}", value=speaker)
                if self.kernel.follows:
                    self.group.remove(speaker)
                    self.group.append(speaker)
            self.phase(f"spoke-{turn}", ports, self.serve(ports))

    def victim(self, fates: Sequence[Fate]) -> int:
        places = {"first": 0, "middle": self.listeners // 2, "last": self.listeners - 1}
        asked = places[self.parameters.get("member", "middle")]
        served = [fate for fate in fates if isinstance(fate, int)]
        return asked if asked in served or not served else max(set(served), key=served.count)

    def lines_of(self) -> Iterator[bytes]:
        begin = {
            "event": "begin",
            "wire": 1,
            "id": "q",
            "scenario": self.scenario,
            "token": "0123456789abcdef",
            "parameters": self.parameters,
        }
        end = {"event": "end", "took": 9000, "gap": self.kernel.gap}
        exit_ = {"event": "exit", "id": "q", "status": 0, "signal": 0}
        name, given, value = self.parameters.get("tunables", "").partition("=")
        if given:
            self.say("fact", name=name, value=int(value))
        for line in (begin, *self.lines, end, exit_):
            yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


LOSSY, STARVED = "not served", "guest was starved"

UNCLEAR = (None, LOSSY, STARVED)

SCALED, NEWEST, TURNS = Kernel(), Kernel(newest), Kernel(turns)


class Case(NamedTuple):
    """The expected result of a question to a kernel: a verdict, or a part of the reason."""

    kernel: Kernel
    word: str
    asked: Mapping[str, str] = MappingProxyType({})
    state: State = State.MEASURED


NOT_SHUT = Case(Kernel(shutting="ENOTCONN"), "no-shutdown:ENOTCONN", {"failure": "shutdown"})


class Simulated(NamedTuple):
    """How a scenario is answered, and the expected result for each of `KERNELS`, in order.

    A result is a verdict word, a reason, or None if any reason will do (TCP does not copy). A lossy
    kernel still gets a verdict if its loss does not matter: its queue works (`last-gone`), or it
    only has to bind (`sharing`). `asked` are parameters that the scenario needs to make sense, or
    for a long enough answer. `cases` have every word of the scenario, and every reason for none.
    """

    say: Callable[[Trial], None]
    names: tuple[str | None, ...]
    asked: Mapping[str, str] = MappingProxyType({})
    cases: tuple[Case, ...] = ()
