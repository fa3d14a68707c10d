"""`connected`: sockets at the group's port that are connected to one client each; who is hurt?"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from statistics import median

from msgspec import Struct

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios.grid import PLACES, SERVERS, SHARING, Numbers, Row, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, LOSSLESS, NOTICED, Sense
from harness.scenarios.statistics import ALPHA_OTHER, Decision, decide, p_one_share
from harness.scenarios.tally import SAME, STRAY, measured, server, tally, unclear
from harness.wire.observation import Attempt, Fate, Observation, number
from harness.wire.script import DueAttempt, DueChanges, DueFlows, Script, Step, members

ID = "connected"

CLIENTS = 16
"""Clients that have a socket of their own, spread evenly over the members."""

CONNECTING = ("after", "before")
"""When the sockets connect: after or before the group of listeners forms. The second is a server
that restarts its listeners and keeps its clients."""

NUMBERS = {"udp": Numbers(1000, 1000), "tcp": Numbers(200, 200)}
"""Other clients. Of 1000, a listener that gets two of five instead of one of four stands out."""


REPEATED_MS = 900
"""A connection that took so long needed a second SYN, which systems send after a second or more."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; TCP is asked only after the group formed."""
    return () if depth is Depth.QUICK else table(ID, _full())


def _full() -> Iterator[Row]:
    for option, (family, bind), connecting in product(SHARING, PLACES, CONNECTING):
        yield row(f"{option} udp {family} {bind}", connecting=connecting)
    for option, bind, connecting in product(
        ("reuseaddr", SERVERS), ("specific", "wildcard"), CONNECTING
    ):
        yield row(f"{option} udp ipv4 {bind}", connecting=connecting)
    for option, (family, bind) in product(SHARING, PLACES[:3]):
        yield row(f"{option} tcp {family} {bind}", connecting="after")


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question: the listeners and the connected sockets together."""
    asked = NUMBERS[cell.axes["protocol"]](cell, depth)
    return {**asked, "sockets": str(int(asked["listeners"]) + CLIENTS)}


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; only clients of datagrams are asked on their own."""
    listeners = number(asked, "listeners")
    clients = number(asked, "sockets") - listeners
    steps: list[Step] = [*members(range(listeners))]
    steps += [DueFlows("met", clients), DueFlows("before"), DueFlows("again")]
    steps.append(DueAttempt("connects", needed=True))
    if asked.get("connecting") == "before":
        steps.append(DueAttempt("stands", needed=True))
    steps.append(DueFlows("after"))
    if asked.get("protocol") == "udp":
        steps += [DueFlows("own", clients), DueChanges(), DueFlows("own-left", clients)]
    return Script(tuple(steps), group="sockets")


class Clients(Struct, frozen=True):
    """The clients that have a socket of their own: whom they reached in one phase."""

    reached: int
    elsewhere: int
    lost: int

    @classmethod
    def of(cls, fates: Sequence[Fate], listeners: int, gone: int | None = None) -> "Clients":
        """Count the fates; socket i belongs to member i modulo the listeners; `gone` has left."""
        every = enumerate(fates)
        due = [(listeners + i, fate) for i, fate in every if i % listeners != gone]
        lost = sum(isinstance(fate, str) for _, fate in due)
        reached = sum(server(fate) == own for own, fate in due)
        return cls(reached, len(due) - reached - lost, lost)

    def counts(self, prefix: str) -> dict[str, int]:
        """Return the counts by name."""
        total = self.reached + self.elsewhere + self.lost
        named = {"reached": self.reached, "elsewhere": self.elsewhere, "lost": self.lost}
        return {f"{prefix}_total": total} | {f"{prefix}_{name}": n for name, n in named.items()}


def classify(seen: Observation) -> Judgement:
    """Compare the other clients' listeners before and after, and see whom each client reaches.

    `again` is the control: the same flows, after the same steps, without connected sockets.
    """
    before, again = seen.phase("before"), seen.phase("again")
    for phase in (before, again):
        if (loss := tally(phase).loss()) is not None or tally(phase).copied:
            return unclear(loss or "datagrams reached several members", tally(phase).counts())
    failed = next((one for one in seen.attempts if one.error is not None), None)
    if failed is not None:
        return _failed(failed)
    same = sum(one == two for one, two in zip(before.fates, again.fates, strict=True))
    counts, figures = _others(seen), {"again_same_share": same / len(before.fates)}
    own, left = _own(seen)
    counts |= own.counts("own") | left.counts("own_left") if own is not None and left else {}
    figures["moved_share"] = counts["others_moved"] / max(1, counts["others_total"])
    if same < SAME * len(before.fates):
        return unclear("the mapping is not a function of the 4-tuple", counts, figures)
    return _named(seen, (own, left), counts, figures)


def _failed(attempt: Attempt) -> Judgement:
    """Judge a socket that the kernel refused: one that connects, or a listener beside those."""
    if attempt.call not in ("bind", "connect", "listen"):
        why = f"a socket for one client cannot be had: {attempt.call} {attempt.error}"
        return Judgement(State.NOT_APPLICABLE, why=why)
    word = "refused" if attempt.what == "connects" else "blocked"
    return measured(f"{word}:{attempt.error}", {})


def _others(seen: Observation) -> dict[str, int]:
    """Count what became of the flows of clients that have no socket of their own."""
    again, after = seen.phase("again").fates, seen.phase("after").fates
    pairs = [(server(was), server(now)) for was, now in zip(again, after, strict=True)]
    both = [(was, now) for was, now in pairs if was is not None and now is not None]
    served = tally(seen.phase("after")).members
    return {
        "others_total": len(both),
        "others_moved": sum(was != now for was, now in both),
        "others_strayed": sum(_reaches(fate, seen.listeners) for fate in after),
        "busiest": max((served.get(i, 0) for i in range(seen.listeners)), default=0),
        "busiest_before": max(tally(seen.phase("again")).members.values(), default=0),
        **tally(seen.phase("after")).counts("after_"),
    }


def _reaches(fate: Fate, listeners: int) -> bool:
    """Whether a connected socket got the datagram, alone or with others."""
    got = fate if isinstance(fate, tuple) else (fate,)
    return any(isinstance(index, int) and index >= listeners for index in got)


def _own(seen: Observation) -> tuple[Clients | None, Clients | None]:
    """Return whom the clients with a socket reach, and those of the survivors after a failure."""
    if seen.parameters.get("protocol") != "udp":
        return None, None
    own = Clients.of(seen.phase("own").fates, seen.listeners)
    gone = seen.changes[0].member
    return own, Clients.of(seen.phase("own-left").fates, seen.listeners, gone)


def _named(
    seen: Observation,
    clients: tuple[Clients | None, Clients | None],
    counts: Mapping[str, int],
    figures: Mapping[str, float],
) -> Judgement:
    """Name the worst: a datagram at the wrong socket, then lost ones, then flows that moved."""
    after, again = tally(seen.phase("after")), tally(seen.phase("again"))
    known = [one for one in clients if one is not None]
    if counts["others_strayed"]:
        return measured("strangers", counts, figures)
    if any(one.elsewhere for one in known):
        return measured("bypassed", counts, figures)
    if p_one_share(after.astray, after.flows, again.astray, again.flows) <= ALPHA_OTHER:
        return measured(f"lost:{after.astray}/{after.flows}", counts, figures)
    loss = after.loss() or ("datagrams reached several members" if after.copied else None)
    if loss is None and any(one.lost for one in known):
        loss = "lossy: clients with a socket of their own were not served"
    if loss is not None:
        return unclear(loss, counts, figures)
    if late := _delayed(seen):
        return measured(f"delayed:{late}/{after.flows}", counts, figures)
    if counts["others_moved"] <= STRAY * after.flows:
        return measured("unaffected", counts, figures)
    return measured("concentrated" if _piled(seen) else "moved", counts, figures)


def _delayed(seen: Observation) -> int:
    """Return how many connections took a second SYN, if they are more than without the sockets."""
    if seen.parameters.get("protocol") == "udp":
        return 0
    first, again, after = (seen.phase(name).took for name in ("before", "again", "after"))
    usual = (*first, *again)
    # A guest that did not run delays a connection by that time, beside what others take.
    late = max(REPEATED_MS, median(usual) + seen.gap)
    count, often = (sum(ms >= late for ms in took) for took in (after, usual))
    return count if p_one_share(count, len(after), often, len(usual)) <= ALPHA_OTHER else 0


def _piled(seen: Observation) -> bool:
    """Whether the listeners share unevenly, and one of them has more than any had before."""
    after, again = tally(seen.phase("after")), tally(seen.phase("again"))
    shares = [after.members.get(index, 0) for index in range(seen.listeners)]
    most, was = max(shares), max(again.members.values())
    grown = most * again.served > was * after.served
    changed = p_one_share(most, after.served, was, again.served) <= ALPHA_OTHER
    return decide(shares) is Decision.OTHER and grown and changed


MOVED = ("{others_moved/others_total} flows of other clients changed their listener.",)

OWN = ("{own_reached/own_total} clients reached the socket that is connected to them.",)

FROM_THE_LISTENER = "Answer from the listener, and keep sessions outside the workers"

CONNECTED = Scenario(
    id=ID,
    subject="a socket for each client beside the group",
    sentence="Members connect sockets to single clients: what becomes of the other clients' flows?",
    done="Members opened 16 sockets at their own port, each connected to one client.",
    words={
        "unaffected": Sense(
            LOSSLESS,
            "no other client's flow moved, and each client reaches the socket connected to it",
            "a socket for each client costs the others nothing",
            told=(*MOVED, *OWN),
        ),
        "moved": Sense(
            NOTICED,
            "other clients' flows changed their listener; the share of them is beside the word",
            "sessions of other clients land at workers that do not know them",
            do=FROM_THE_LISTENER,
            told=MOVED,
        ),
        "concentrated": Sense(
            NOTICED,
            "they changed it, and one listener has significantly more of them than before",
            "sessions of other clients land at workers that do not know them, and one worker gets "
            "most of the load",
            do=FROM_THE_LISTENER,
            told=(*MOVED, "The busiest listener served {busiest/others_total} of them."),
        ),
        "strangers": Sense(
            NOTICED,
            "a connected socket got datagrams of other clients",
            "one client's data shows up in the session of another",
            do="Compare the sender's address of every datagram with the client's",
            told=("Connected sockets got {others_strayed} datagrams of other clients.",),
        ),
        "bypassed": Sense(
            NOTICED,
            "a client's datagrams reach another socket than the one that is connected to it",
            "a server that has a socket for each client loses sight of them",
            do=FROM_THE_LISTENER,
            told=OWN,
        ),
        "lost": Sense(
            NOTICED,
            "this many datagrams of other clients got no answer, and the control lost none",
            "other clients wait and send again",
            do=FROM_THE_LISTENER,
        ),
        "delayed": Sense(
            NOTICED,
            "this many TCP connections of other clients needed a second SYN, for a second or more; "
            "the first reached a connected socket",
            "other clients wait for a second",
            do="Do not connect() sockets at the port of a group of listeners",
            told=MOVED,
        ),
        "refused": Sense(
            FACT,
            "bind() or connect() of a socket for one client fails with this errno",
            "a server with this option cannot have a socket for each client",
            do="Answer from the listener",
        ),
        "blocked": Sense(
            FACT,
            "with connected sockets there, bind() of a listener fails with this errno",
            "a restart fails until the last client of the old process has left",
        ),
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
    figure="moved_share",
    drawn=("others_moved", "others_total"),
)
