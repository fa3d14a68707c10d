"""`intrusion`: a newcomer binds to a server's port; is it let in, and what does it take?"""

from collections.abc import Iterator, Mapping
from itertools import product

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios.confirm import (
    addresses,
    by_order,
    confirming,
    follows_the_speaker,
    speakers,
    spoken_counts,
)
from harness.scenarios.grid import BOTH, GROUPING, SERVERS, Numbers, Row, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import DEPENDS, FACT, Sense
from harness.scenarios.statistics import excluded
from harness.scenarios.tally import SAME, STRAY, Tally, measured, tally, unclear
from harness.wire.observation import Attempt, Observation
from harness.wire.script import DueAttempt, DueFlows, DueMember, Script

ID = "intrusion"

SERVER, NEWCOMER = 0, 1
"""Indexes of the two members."""

USERS = ("same", "other", "root")
"""Whose the newcomer is: the server's user, another one, or root beside another user's server."""

BINDS = ("specific", "wildcard", "mixed")
"""With `mixed` the server has the wildcard and the newcomer one address."""

ALIKE = ("reuseaddr", "reuseport", SERVERS, "reuseport_lb")

UNLIKE = (
    (SERVERS, "reuseport"),
    ("reuseport", SERVERS),
    (SERVERS, "reuseaddr"),
    ("reuseaddr", SERVERS),
    ("reuseport", "reuseaddr"),
    ("reuseaddr", "reuseport"),
)
"""The server's option, and the newcomer's."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; without axis `second` both have the same option."""
    return () if depth is Depth.QUICK else table(ID, _full())


def _full() -> Iterator[Row]:
    for option, protocol, bind, user in product(ALIKE, BOTH, BINDS, USERS):
        yield row(f"{option} {protocol} ipv4 {bind}", user=user)
    for option, protocol, bind in product(GROUPING[:3], BOTH, BINDS[:2]):
        yield row(f"{option} {protocol} ipv6 {bind}", user="other")
    for protocol, bind in product(BOTH, BINDS[:2]):
        yield row(f"{SERVERS} {protocol} ipv6 {bind}", user="other")
    for (option, second), protocol, bind in product(UNLIKE, BOTH, BINDS):
        for user in USERS[:2]:
            yield row(f"{option} {protocol} ipv4 {bind}", second=second, user=user)
    # On the BSDs a socket with SO_REUSEADDR may take one address from a wildcard socket that has no
    # option (freebsd: in_pcbbind_setup(), without INPLOOKUP_WILDCARD).
    for protocol, user in product(BOTH, USERS):
        yield row(f"none {protocol} ipv4 mixed", second="reuseaddr", user=user)


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; a newcomer that is refused ends it."""
    joins = DueAttempt("joins", needed=True)
    more = (*addresses(asked), *speakers(asked))
    return Script((DueMember(SERVER), DueFlows("before"), joins, DueFlows("after"), *more))


def classify(seen: Observation) -> Judgement:
    """Name what the newcomer got of the flows that the server served before.

    `before` is the control: if the server alone did not serve them all, they were lost or another's
    already, and nothing is named.
    """
    before, joins = tally(seen.phase("before")), seen.attempts[0]
    if before.loss() is not None or before.members.get(SERVER, 0) < SAME * before.flows:
        why = before.loss() or "the server did not serve all flows while it was alone"
        return unclear(why, before.counts("before_"))
    if joins.error is not None:
        return _refused(joins)
    after = tally(seen.phase("after"))
    counts = {**after.counts(), **spoken_counts(seen)}
    if after.copied >= SAME * after.flows:
        return measured("copied", counts)
    if after.loss() is not None or after.copied > STRAY * after.flows:
        why = after.loss() or f"{after.copied} datagrams reached both, others one"
        return unclear(why, counts)
    return _taken(seen, after, counts)


def _refused(joins: Attempt) -> Judgement:
    """Judge that a call of the newcomer failed; one that sets an option is no answer."""
    if joins.call in ("bind", "listen"):
        return measured(f"refused:{joins.error}", {})
    why = f"the newcomer's option cannot be set: {joins.call} {joins.error}"
    return Judgement(State.NOT_APPLICABLE, why=why)


def _taken(seen: Observation, after: Tally, counts: Mapping[str, int]) -> Judgement:
    """Name a share, or the one who gets all unless the clients' address decides that."""
    taken = after.members.get(NEWCOMER, 0)
    kept = after.served - taken
    figures = {"taken_share": taken / after.served}
    if min(taken, kept) > STRAY * after.flows:
        return measured("shared", counts, figures)
    if min(taken, kept) > 0:
        why = f"{taken} of {after.served} flows reached the newcomer: neither all, none nor a share"
        return unclear(why, counts, figures)
    figures["excluded_share"] = excluded(after.served)
    if follows_the_speaker(seen):
        return measured("last-sender", counts, figures)
    taker, word = (NEWCOMER, "takes-all") if taken else (SERVER, "takes-none")
    return by_order(seen, taker, (word, "by-address"), counts=counts, figures=figures)


TOLD = ("{member_1/flows} flows that the server had served went to the newcomer.",)

INTRUSION = Scenario(
    id=ID,
    subject="another process on a server's port",
    sentence="A newcomer binds to a server's port: is it let in, and whose flows does it take?",
    done="A server served alone, and a newcomer of {user} bound to its port.",
    words={
        "refused": Sense(
            FACT,
            "bind() or listen() of the newcomer failed with this errno",
            "this process cannot take the port. If it is your own new version, a restart needs "
            "another way: pass the descriptor",
        ),
        "takes-all": Sense(
            FACT,
            "the newcomer gets every flow that the server got before",
            "a process of that user, with those options, takes over your clients, and you notice "
            "nothing but silence",
            do="If it is another user: do not set SO_REUSEADDR on a datagram socket, or bind to "
            "the address and not to the wildcard",
            told=TOLD,
        ),
        "shared": Sense(
            FACT,
            "both are served; the share beside the word is the newcomer's",
            "a process of that user, with those options, gets a part of your clients",
            told=TOLD,
        ),
        "takes-none": Sense(
            FACT,
            "the newcomer is bound and gets nothing while the server stays",
            "bind() succeeded, and nothing is taken. It may be served once the server leaves: see "
            "fallback",
            told=TOLD,
        ),
        "copied": Sense(
            FACT,
            "each datagram reaches both",
            "a process of that user, with those options, can listen in",
        ),
        "by-address": Sense(
            DEPENDS,
            "one gets all flows of one client address, but each address has its own",
            "a process of that user, with those options, gets a part of your clients",
        ),
        "one": Sense(
            DEPENDS,
            "one gets all, and more client addresses could not be added (the errno says why): "
            "nobody knows whether an order or the address decides",
            "nobody can say what it takes from other clients",
            do="Run the agent as root to learn more",
        ),
        "last-sender": Sense(
            DEPENDS,
            "datagrams go to the one that sent last",
            "who sends takes the other's clients",
        ),
    },
    cells=cells,
    parameters=confirming(Numbers(200, 200, listeners=2)),
    script=script,
    classify=classify,
    alarm=30.0,
    figure="taken_share",
)
