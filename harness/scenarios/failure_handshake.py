"""`failure-handshake`: a worker fails or joins, or all are replaced, between SYN-ACK and ACK."""

import math
from collections.abc import Iterator, Mapping
from itertools import product

from harness.model import Cell, Depth, Judgement
from harness.scenarios import handshake_rounds
from harness.scenarios.grid import FAILURES, PLACES, SHARING, TUN, Numbers, Row, row, table
from harness.scenarios.handshake_rounds import WORDS, named, outcome
from harness.scenarios.homes import Homes
from harness.scenarios.scenario import NO_SHUTDOWN, STAYS, Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, OTHERS_SERVED, Sense
from harness.scenarios.tally import kind, measured, prevailing, unclear
from harness.scenarios.tunables import (
    ALWAYS,
    CACHE_COOKIES,
    COOKIES,
    MIGRATION,
    SWITCH,
    at_each,
)
from harness.wire.observation import Observation, number
from harness.wire.script import (
    DueAttempt,
    DueChanges,
    DueFact,
    DueFlows,
    Script,
    Step,
    members,
    members_then,
)

ID = "failure-handshake"

QUICK = (
    row("reuseport tcp ipv4 specific kill", ack="at-once"),
    row("reuseport tcp ipv6 wildcard close", ack="at-once"),
    row("reuseport tcp ipv4 wildcard close", ack="after-repeat"),
    row("reuseport_lb tcp ipv4 specific kill", ack="at-once"),
    row("reuseport tcp ipv4 specific kill", ack="at-once", member="first"),
    row("reuseport tcp ipv4 specific kill", ack="at-once", member="last"),
    row("reuseport tcp ipv4 specific", ack="at-once", change="join"),
)

REPEATED = ("close", "kill")
"""Failures after which the ACK is also held back until the kernel has sent its SYN-ACK again."""

ENDS = ("first", "last")
"""Members that also fail in turn: if the survivors' handshakes depend on the remaining members, it
matters which one leaves. In all other cells the middle one fails."""

SET = row("reuseport tcp ipv4 specific kill", ack="at-once")

SET_FULL = (
    SET,
    row("reuseport tcp ipv4 wildcard close", ack="at-once"),
    row("reuseport tcp ipv4 specific kill", ack="after-repeat"),
)
"""Rows that are asked with request migration or SYN cookies. With a cookie the kernel keeps no
request at all."""

FLOWS = {Depth.QUICK: 96, Depth.FULL: 240}
"""If they are spread, a quarter belongs to the failed listener: 24 or 60. This is enough to notice
that more than 5 % of these have another fate: if every fourth has, nearly all seem to have the same
one with a chance of 1 % or 1e-6."""

ROUND = 24
"""Handshakes held at once. With two packets each they must fit into the shortest queue on their way
(freebsd: 50 packets, tun), and a slow guest must answer them within a fraction of a second."""

REPEATED_FLOWS = {Depth.QUICK: 40, Depth.FULL: 120}

REPEATED_ROUND = 40
"""If the ACK waits for a second SYN-ACK, a round takes seconds; it has one packet for each flow."""

FEW = {"hang": (48, ROUND), "relisten-zero": (96, 8)}
"""Flows in all and in one round, by failure. A hung listener serves nothing, so a round takes
seconds. After listen(fd, 0) ACKs go one at a time, so only few may wait for the others."""


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
        rows += [row(f"{place} kill", ack="at-once", member=member) for member in ENDS]
        rows.append(row(place, ack="at-once", change="join"))
    rows += [row(f"{option} tcp ipv4 specific hang", ack="at-once") for option in SHARING]
    rows += at_each(MIGRATION, SWITCH, SET_FULL)
    rows += at_each(COOKIES, ALWAYS, SET_FULL[:2])
    for name in CACHE_COOKIES:
        rows += at_each(name, SWITCH, SET_FULL[:1])
    return table(ID, (*rows, *_replaced()))


def _replaced() -> Iterator[Row]:
    """Yield rows in which all members are replaced: with tunables as found, and with what helps."""
    places = ("ipv4 specific", "ipv4 wildcard", "ipv6 wildcard", "mapped wildcard")
    for option, place in product(SHARING, places):
        yield row(f"{option} tcp {place}", ack="at-once", change="replace")
    one = row("reuseport tcp ipv4 specific", ack="at-once", change="replace")
    yield from (*at_each(MIGRATION, ("1",), [one]), *at_each(COOKIES, ("2",), [one]))


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question; only the agent's own TCP peer can hold back an ACK."""
    flows, size = FLOWS[depth], ROUND
    if cell.axes.get("ack") == "after-repeat":
        flows, size = REPEATED_FLOWS[depth], REPEATED_ROUND
    if cell.axes.get("change") == "replace":
        flows = FLOWS[Depth.QUICK]  # none of them survives
    flows, size = FEW.get(cell.axes.get("failure", ""), (flows, size))
    return {**Numbers(flows, flows)(cell, depth), "peer": TUN, "round": str(size)}


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; older recordings have no rounds and no control."""
    if "round" not in asked:
        steps = (DueFlows("home"), DueFlows("held"), DueChanges(), DueFlows("fates"))
        return members_then(*steps)(asked)
    repeats = asked.get("ack") == "after-repeat"
    phases = ["home", "control-held", *["control-repeated"] * repeats, "control"]
    phases += ["held", *["repeated"] * repeats, "fates"]
    return members_then(
        *_newcomers(asked),
        DueAttempt("again", needed=True),
        *map(DueFlows, phases),
        DueChanges(math.ceil(number(asked, "flows") / number(asked, "round"))),
        DueFact("slow-rounds"),
    )(asked)


def _newcomers(asked: Mapping[str, str]) -> tuple[Step, ...]:
    listeners = number(asked, "listeners")
    more = {"join": 1, "replace": listeners}.get(asked.get("change", ""), 0)
    return members(range(listeners, listeners + more))


def classify(seen: Observation) -> Judgement:
    """Judge by the control; without rounds, as in older recordings, by the survivors."""
    refused = seen.attempt("again")
    if refused is None:
        return _without_control(seen)
    if refused.error is not None:
        return unclear(f"a member could not come back: {refused.call} {refused.error}", {})
    return handshake_rounds.classify(seen)


def _without_control(seen: Observation) -> Judgement:
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
        **homes.counts(lambda fate: named(fate, victim), "completed"),
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
    word = WORDS.get(prevailing(outcome(now, victim) for now in homes.victim) or "")
    if word is None:
        return unclear("its handshakes share no one fate", counts, figures)
    return measured(word, counts, figures)


FAILURE_HANDSHAKE = Scenario(
    id=ID,
    subject="handshakes under way",
    sentence="A worker fails or joins between SYN-ACK and ACK: what happens to the handshakes?",
    done="{failure} with {victim_total+} handshakes under way.",
    words={
        "completed": Sense(
            LOSSLESS,
            "a sibling finishes the handshake",
            "clients notice nothing",
            told=(
                "Siblings finished {victim_completed/victim_total}.",
                OTHERS_SERVED,
            ),
        ),
        "kept": Sense(
            LOSSLESS,
            "the same listener finishes it",
            (
                "the listener did not fail (it only stopped accepting new connections), or "
                "one joined and took nothing away"
            ),
            told=(
                "Its own listener finished {victim_kept/victim_total}.",
                OTHERS_SERVED,
            ),
        ),
        "reset": Sense(
            NOTICED,
            "the ACK is answered with a reset",
            'some clients at every restart get "connection reset" at connect',
            do="Pass the descriptor, or set net.ipv4.tcp_migrate_req=1 (Linux ≥ 5.14)",
            told=(
                "{victim_reset/victim_total} were answered with a reset.",
                OTHERS_SERVED,
            ),
        ),
        "ignored": Sense(
            NOTICED,
            "the ACK gets no answer",
            "the client believes it is connected, and waits",
            told=(
                "{victim_ignored/victim_total} got no answer to the final ACK.",
                OTHERS_SERVED,
            ),
        ),
        "stranded": Sense(
            NOTICED,
            "the handshake ends, but nobody accepts",
            "the worst for people: they wait",
            do="Check health per worker",
            told=(
                "{victim_stranded/victim_total} ended, and nobody accepted them.",
                OTHERS_SERVED,
            ),
        ),
        "closed": Sense(
            NOTICED,
            "the handshake ends, and the connection with it",
            "clients that retry on an empty answer are fine, others show an error",
            told=(
                "{victim_closed/victim_total} ended without an answer.",
                OTHERS_SERVED,
            ),
        ),
        "collapsed": Sense(
            NOTICED,
            "handshakes of the *other* listeners were reset, too: k of n",
            "a restart hits clients of every worker",
            told=(
                (
                    "Of the other workers' handshakes, {survivors_reset/survivors_total} were "
                    "reset, too."
                ),
            ),
        ),
        NO_SHUTDOWN: STAYS,
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=60.0,
    load=0,
    drawn=("survivors_reset", "survivors_total"),
)
