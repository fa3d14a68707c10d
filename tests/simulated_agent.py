"""What an agent would say of a simulated kernel: every scenario's script, in the wire's words.

For tests only, as the kernels are.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from simulated_kernels import GONE, HEIR, OWN, Fragile, Group, Kernel, hashed

from harness.wire.observation import Fate


class Trial:
    """One asking of a simulated kernel: the lines that the agent would say."""

    def __init__(self, kernel: Kernel, scenario: str, parameters: Mapping[str, str]) -> None:
        self.kernel, self.scenario, self.parameters = kernel, scenario, dict(parameters)
        self.listeners = int(self.parameters.get("listeners", "4"))
        self.flows = int(self.parameters.get("flows", "400"))
        self.deadline = int(self.parameters.get("deadline", "8000"))
        self.random = random.Random(self.parameters.get("seed", "1"))
        self.group: Group = []
        self.lines: list[dict[str, object]] = []
        self.turn = 0

    def say(self, event: str, **keys: object) -> None:
        self.lines.append({"event": event, **keys})

    def stand(self, index: int, listens: bool = True) -> bool:
        """Set a member up; False if the kernel refuses it."""
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
        self.say("change", what=what, member=index, at=at, error=None)
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
        fates = [self.kernel.choose(port, self.turn + i, group) for i, port in enumerate(ports)]
        self.turn += len(ports)
        return fates

    def phase(self, name: str, ports: Sequence[int], fates: Sequence[Fate]) -> list[Fate]:
        took = [self.deadline if fate in ("timeout", "open") else 3 for fate in fates]
        started = list(range(len(ports)))
        self.say("flows", phase=name, fates=fates, ports=ports, started=started, took=took)
        return list(fates)

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


def distribution(trial: Trial) -> None:
    if all(trial.stand(index) for index in range(trial.listeners)):
        ports = trial.ports()
        trial.phase("all", ports, trial.serve(ports))


def datagrams(trial: Trial) -> None:
    """Of 17 senders, or of as many as there are datagrams."""
    if all(trial.stand(index) for index in range(trial.listeners)):
        few = trial.parameters.get("source") == "one-sender" or "delivery" in trial.parameters
        ports = trial.ports(17) if few else trial.ports()
        sent = [ports[i % len(ports)] for i in range(trial.flows)]
        trial.phase("all", sent, trial.serve(sent))


def server_port(trial: Trial) -> None:
    """Ask the same again at another port, which is or is not among the hash's inputs."""
    if all(trial.stand(index) for index in range(trial.listeners)):
        ports = trial.ports()
        trial.phase("all", ports, trial.serve(ports))
        moved = [(port + trial.kernel.port_counts) % 65536 for port in ports]
        trial.phase("elsewhere", ports, trial.serve(moved))


def listen_order(trial: Trial) -> None:
    """Ask the same again of a group that has listened in the opposite order."""
    if all(trial.stand(index) for index in range(trial.listeners)):
        ports, error = trial.ports(), trial.kernel.crossing
        trial.phase("all", ports, trial.serve(ports))
        trial.say("attempt", what="crossed", call="listen" if error else None, error=error)
        if not trial.kernel.by_bind:
            trial.group.reverse()
        if error is None:
            trial.phase("crossed", ports, trial.serve(ports))


def bound_only(trial: Trial) -> None:
    count = trial.listeners
    if all(trial.stand(index) for index in range(count)) and trial.stand(count, listens=False):
        ports, fate = trial.ports(), trial.kernel.bystander
        fates = trial.serve(ports)
        if fate is not None:
            hit = [hashed(port, 9) % (count + 1) == 0 for port in ports]
            fates = [fate if lost else own for lost, own in zip(hit, fates, strict=True)]
        trial.phase("all", ports, fates)
        trial.say("change", what="close", member=count, at=80, error=None)
        alone = trial.ports()
        trial.phase("alone", alone, trial.serve(alone))


def fallback(trial: Trial) -> None:
    distribution(trial)
    if trial.lines[-1]["event"] != "flows":
        return
    where = {"newest": -1, "oldest": 0}
    order = trial.parameters.get("order", "newest")
    for k in range(1, trial.listeners):
        group = sorted(trial.standing())
        trial.leave(group[where.get(order, len(group) // 2)], "close")
        ports = trial.ports()
        gone = trial.kernel.refused_after(k) if isinstance(trial.kernel, Fragile) else None
        fates: list[Fate] = [gone] * len(ports) if gone else trial.serve(ports)
        trial.phase(f"left-{k}", ports, fates)


def takeover(trial: Trial) -> None:
    tcp = trial.parameters.get("protocol", "tcp") == "tcp"
    if not trial.stand(0):
        return
    ports = trial.ports()
    before = trial.phase("before", ports, trial.serve(ports))
    if not trial.stand(1):
        return
    trial.say("change", what="join", member=1, at=60, error=None)
    trial.phase("during", ports[:8], [0] * 8)
    fresh = trial.ports()
    trial.phase("after", fresh, trial.serve(fresh))
    if tcp:
        trial.phase("alive", ports, before)
    trial.leave(0, "close")
    more = trial.ports()
    trial.phase("retired", more, trial.serve(more))
    if tcp:
        trial.phase("alive-retired", ports, before)


def failure_established(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    before = trial.phase("before", ports, trial.serve(ports))
    victim = trial.victim(before)
    trial.leave(victim, trial.parameters.get("failure", "kill"))
    after = [trial.kernel.echo if fate == victim else fate for fate in before]
    for i in [i for i, fate in enumerate(before) if fate != victim][: trial.kernel.drops]:
        after[i] = "ECONNRESET"
    trial.phase("after", ports, after)


def failure_queued(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    home = trial.phase("home", ports, trial.serve(ports))
    victim = trial.victim(home)
    trial.phase("queued", ports, ["open"] * len(ports))
    owners = trial.serve(ports)
    trial.leave(victim, trial.parameters.get("failure", "kill"))
    fate = trial.kernel.queued
    heir = trial.standing()[-1] if fate == HEIR else fate
    trial.phase("fates", ports, [heir if owner == victim else owner for owner in owners])


def failure_handshake(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    victim = trial.victim(trial.phase("home", ports, trial.serve(ports)))
    trial.phase("held", ports, ["open"] * len(ports))
    owners = trial.serve(ports)
    trial.leave(victim, trial.parameters.get("failure", "kill"))
    instead = trial.serve(ports)
    fate = trial.kernel.half_open
    fates = zip(owners, instead, strict=True)
    heirs = [other if fate == HEIR else victim if fate == OWN else fate for _, other in fates]
    fates = zip(owners, heirs, strict=True)
    trial.phase("fates", ports, [heir if owner == victim else owner for owner, heir in fates])


def failure_hung(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    victim = trial.victim(trial.phase("home", ports, trial.serve(ports)))
    trial.say("change", what="hang", member=victim, at=60, error=None)
    fates, waiting = trial.serve(ports), 0
    others = [index for index in trial.standing() if index != victim]
    for i, fate in enumerate(fates):
        if fate == victim:
            full = waiting >= trial.kernel.room
            instead = others[i % len(others)] if trial.kernel.hung == HEIR else trial.kernel.hung
            fates[i] = instead if full else "open"
            waiting += not full
        elif trial.kernel.losing is not None and i % 10 == 0:
            fates[i] = trial.kernel.losing
    trial.phase("hung", ports, fates)
    trial.say("fact", name="backlog", value=int(trial.parameters.get("backlog", "16")))


def failure_flows(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    change, ports = trial.parameters.get("change", "leave"), trial.ports()
    victim = trial.victim(trial.phase("before", ports, trial.serve(ports)))
    trial.phase("again", ports, trial.serve(ports))
    if change != "join":
        trial.leave(victim, trial.parameters.get("failure", "close"))
    if change == "restart":
        trial.phase("left", ports, trial.serve(ports))
    if change != "leave":
        trial.stand(trial.listeners)
        trial.say("change", what="join", member=trial.listeners, at=70, error=None)
    trial.phase("after", ports, trial.serve(ports))


def failure_arrivals(trial: Trial) -> None:
    """One flow a ms; the failure at half time, when `drops` flows are under way at the victim."""
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports, half = trial.ports(), trial.flows // 2
    fates = trial.serve(ports)
    trial.leave(trial.victim(fates), trial.parameters.get("failure", "kill"), at=half)
    for i in range(half, half + trial.kernel.drops):
        fates[i] = trial.kernel.arriving
    trial.phase("stream", ports, fates)


def precedence(trial: Trial) -> None:
    """Whoever the kernel chooses among the preferred side serves; `preferred` None: among all."""
    half = trial.listeners // 2
    order = list(range(trial.listeners))
    if trial.parameters.get("position", "last") == "last":
        order = order[half:] + order[:half]
    if not all(trial.stand(index) for index in order):
        return
    side = trial.kernel.preferred
    if side is not None:
        trial.group = order_of(side, half, trial.group)
    ports = trial.ports()
    trial.phase("all", ports, trial.serve(ports))


def order_of(side: int, half: int, group: Group) -> Group:
    return [index for index in group if (index >= half) == bool(side)]


def group_limit(trial: Trial) -> None:
    """Members beyond the kernel's limit are deaf, or refused where it says so."""
    kernel, asked = trial.kernel, int(trial.parameters.get("sockets", "300"))
    stood = asked if kernel.refused is None else min(asked, kernel.limit)
    error = kernel.refused if stood < asked else None
    trial.group = list(range(min(stood, kernel.limit)))
    ports = trial.ports()
    trial.say("fact", name="stood", value=stood)
    trial.say("attempt", what="last", call="bind" if error else None, error=error)
    trial.phase("all", ports, trial.serve(ports))


def drain(trial: Trial) -> None:
    """One flow a ms; `drops` of them are under way when the first member retires."""
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    calm = trial.ports(200)
    trial.phase("calm", calm, trial.serve(calm))
    kernel, rounds = trial.kernel, int(trial.parameters.get("rounds", "40"))
    apart = trial.flows // (2 * rounds + 1)
    way = trial.parameters.get("way", "close")
    for change in range(2 * rounds):
        error = kernel.retiring if change == kernel.stays else None
        what, member = "back" if change % 2 else way, change // 2 % trial.listeners
        trial.say("change", what=what, member=member, at=(change + 1) * apart, error=error)
        if error is not None:
            break
    ports = trial.ports()
    fates = trial.serve(ports)
    fates[apart : apart + kernel.drops] = [kernel.arriving] * kernel.drops
    trial.phase("stream", ports, fates)
    trial.say("fact", name="exposed", value=32 * rounds)
    trial.say("fact", name="drained", value=kernel.waiting * rounds)


def last_gone(trial: Trial) -> None:
    ports, new = trial.ports(), trial.ports(16)
    if not trial.stand(0):
        return
    trial.phase("queued", ports, ["open"] * len(ports))
    trial.leave(0, trial.parameters.get("failure", "kill"))
    trial.phase("fates", ports, [trial.kernel.queued] * len(ports))
    trial.phase("new", new, [trial.kernel.new] * 16)
    trial.say("attempt", what="rebind-same", call=None, error=None)
    trial.say("attempt", what="rebind-none", call="bind", error="EADDRINUSE")


def sharing(trial: Trial) -> None:
    trial.say("attempt", what="first", call=None, error=None)
    error = trial.kernel.refused
    trial.say("attempt", what="second", call="bind" if error else None, error=error)
    if error is None and trial.parameters.get("case") != "time-wait":
        trial.group = [0, 1]
        ports = trial.ports(16)
        trial.phase("traffic", ports, trial.serve(ports))


LOSSY, STARVED = "not served", "guest was starved"

UNCLEAR = (None, LOSSY, STARVED)


class Simulated(NamedTuple):
    """How a scenario is answered, and what each of `KERNELS` is to be called, in their order.

    That is a verdict's word, a reason, or None where any reason will do (TCP does not copy). A
    kernel whose loss is no part of the question, because its queue is as usual (`last-gone`) or it
    is asked to bind only (`sharing`), is judged all the same. `asked` are parameters without which
    the answer would not be what the scenario is about, or too short to judge.
    """

    say: Callable[[Trial], None]
    names: tuple[str | None, ...]
    asked: Mapping[str, str] = MappingProxyType({})


SIMULATED: Mapping[str, Simulated] = {
    "sharing": Simulated(sharing, ("shared",) * 8),
    "distribution": Simulated(
        distribution,
        ("balanced", "balanced", "newest", "oldest", "skewed", "copied", LOSSY, STARVED),
    ),
    "server-port": Simulated(server_port, ("same", "same", "one", "one", "same", *UNCLEAR)),
    "listen-order": Simulated(listen_order, (*["listen"] * 5, *UNCLEAR)),
    "takeover": Simulated(
        takeover,
        ("shared", "shared", "newest-takes-all", "oldest-keeps", "oldest-keeps", *UNCLEAR),
        {"listeners": "2"},
    ),
    "fallback": Simulated(
        fallback, ("rebalanced", "rebalanced", "previous", "next", None, *UNCLEAR)
    ),
    "failure-established": Simulated(
        failure_established,
        ("unaffected", "unaffected", "no survivor", "no survivor", "unaffected", *UNCLEAR),
    ),
    "failure-queued": Simulated(failure_queued, (*["reset"] * 5, *UNCLEAR)),
    "failure-handshake": Simulated(failure_handshake, (*["reset"] * 5, *UNCLEAR)),
    "failure-arrivals": Simulated(
        failure_arrivals, (*["served"] * 5, None, "slow or lost before", STARVED)
    ),
    "failure-flows": Simulated(
        failure_flows, ("reshuffled", "reshuffled", "minimal", "minimal", "minimal", *UNCLEAR)
    ),
    "failure-hung": Simulated(
        failure_hung, ("stalled", "stalled", "all-stalled", "all-stalled", "stalled", *UNCLEAR)
    ),
    "bound-only": Simulated(bound_only, (*["harmless"] * 5, *UNCLEAR)),
    "last-gone": Simulated(last_gone, ("refused",) * 8, {"listeners": "1"}),
    "precedence": Simulated(
        precedence, ("both", "both", "specific", "wildcard", "wildcard", "copied", LOSSY, STARVED)
    ),
    "group-limit": Simulated(
        group_limit,
        ("all", "all", "one", "one", "deaf", "copied", LOSSY, STARVED),
        {"flows": "1600", "sockets": "64"},
    ),
    "drain": Simulated(drain, (*["lossless"] * 5, *UNCLEAR), {"flows": "3185", "rounds": "24"}),
    "datagrams": Simulated(
        datagrams,
        ("balanced", "balanced", "newest", "oldest", "skewed", "copied", LOSSY, STARVED),
        {"protocol": "udp"},
    ),
}


def answer(kernel: Kernel, scenario: str, parameters: Mapping[str, str]) -> bytes:
    """Return what the agent would say of this kernel, as one block of a batch."""
    trial = Trial(kernel, scenario, parameters)
    SIMULATED[scenario].say(trial)
    return b"".join(trial.lines_of())
