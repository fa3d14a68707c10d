"""`failure-handshake`: a worker fails after the SYN-ACK, and then the final ACK arrives."""

from collections.abc import Mapping
from itertools import product

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import FAILURES, PLACES, SHARING, TUN, Numbers, Row, row, table
from harness.scenarios.homes import Homes
from harness.scenarios.scenario import Scenario
from harness.scenarios.tally import kind, measured, prevailing, server, unclear
from harness.scenarios.tunables import (
    ALWAYS,
    CACHE_COOKIES,
    COOKIES,
    MIGRATION,
    SWITCH,
    at_each,
)
from harness.wire.observation import Fate, Observation
from harness.wire.script import DueChanges, DueFlows, members_then

ID = "failure-handshake"

QUICK = (
    row("reuseport tcp ipv4 specific kill", ack="at-once"),
    row("reuseport tcp ipv6 wildcard close", ack="at-once"),
    row("reuseport tcp ipv4 wildcard close", ack="after-repeat"),
    row("reuseport_lb tcp ipv4 specific kill", ack="at-once"),
)

REPEATED = ("close", "kill")
"""Failures after which the ACK is also held back until the kernel has sent its SYN-ACK again."""

SET = row("reuseport tcp ipv4 specific kill", ack="at-once")

SET_FULL = (
    SET,
    row("reuseport tcp ipv4 wildcard close", ack="at-once"),
    row("reuseport tcp ipv4 specific kill", ack="after-repeat"),
)
"""Rows that are asked with request migration or SYN cookies. With a cookie the kernel keeps no
request at all."""

NUMBERS = Numbers(160, 400)

WORDS = {
    "served": "completed",
    "own": "kept",
    "reset": "reset",
    "ignored": "ignored",
    "stranded": "stranded",
    "closed": "closed",
}
"""The verdict word of each outcome. `own`: the listener that failed serves it anyway. `ignored`:
the kernel acknowledges neither the ACK nor the data after it. `stranded`: the kernel acknowledges
them, but no listener serves the connection."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, (*QUICK, *at_each(MIGRATION, ("1",), [SET])))
    rows: list[Row] = []
    for option, (family, bind) in product(SHARING, PLACES):
        place = f"{option} tcp {family} {bind}"
        # After a hang the listener still exists, so one place is enough.
        gone = [failure for failure in FAILURES if failure != "hang"]
        rows += [row(f"{place} {failure}", ack="at-once") for failure in gone]
        rows += [row(f"{place} {failure}", ack="after-repeat") for failure in REPEATED]
    rows += [row(f"{option} tcp ipv4 specific hang", ack="at-once") for option in SHARING]
    rows += at_each(MIGRATION, SWITCH, SET_FULL)
    rows += at_each(COOKIES, ALWAYS, SET_FULL[:2])
    for name in CACHE_COOKIES:
        rows += at_each(name, SWITCH, SET_FULL[:1])
    return table(ID, rows)


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question; only the agent's own TCP peer can hold back an ACK."""
    return {**NUMBERS(cell, depth), "peer": TUN}


def _outcome(fate: Fate, victim: int) -> str:
    if server(fate) == victim:
        return "own"
    return "ignored" if fate == "timeout" else kind(fate)


def _named(fate: Fate, victim: int) -> str:
    outcome = _outcome(fate, victim)
    return WORDS.get(outcome, outcome)


def classify(seen: Observation) -> Judgement:
    """Name what happened to nearly all handshakes held by the listener that failed.

    An earlier phase shows which listener each 4-tuple belongs to. This mapping is trusted only if
    nearly all handshakes of the survivors complete: with a wrong mapping some of these would be the
    victim's and fail with it. Which member completes them does not matter, because an ACK that
    carries a cookie is looked up among the members that remain (tcp_syncookies=2).
    """
    victim, held = seen.changes[0].member, [fate == "open" for fate in seen.phase("held").fates]
    fates = zip(seen.phase("fates").fates, held, strict=True)
    homes = Homes.of(seen.phase("home").fates, [now if ok else None for now, ok in fates], victim)
    counts = {
        "held": sum(held),
        "not_held": len(held) - sum(held),
        **homes.counts(lambda fate: _named(fate, victim), "completed"),
    }
    figures = {"home_kept_share": homes.kept}
    if homes.loss is not None:
        return unclear(homes.loss, counts, figures)
    if not homes.victim:
        why = f"no handshake was held with listener {victim + 1}, which failed"
        if seen.parameters.get("ack") == "after-repeat" and not any(held):
            why = "the kernel did not send its SYN-ACK again in time"
        return unclear(why, counts, figures)
    others = [kind(now) for _, now in homes.survivors]
    if others and prevailing(others) != "served":
        why = "the survivors' own handshakes did not complete with them: nothing to compare with"
        return unclear(why, counts, figures)
    word = WORDS.get(prevailing(_outcome(now, victim) for now in homes.victim) or "")
    if word is None:
        return unclear("its handshakes share no one fate", counts, figures)
    return measured(word, counts, figures)


FAILURE_HANDSHAKE = Scenario(
    id=ID,
    sentence="A worker fails between SYN-ACK and ACK: what happens to the handshake?",
    words=tuple(WORDS.values()),
    cells=cells,
    parameters=parameters,
    script=members_then(DueFlows("home"), DueFlows("held"), DueChanges(), DueFlows("fates")),
    classify=classify,
    alarm=40.0,
    load=0,
)
