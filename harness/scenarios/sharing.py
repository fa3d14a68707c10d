"""`sharing`: whether a second socket can bind to the port and listen there."""

import re
from collections.abc import Iterator, Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import ALL, BOTH, GROUPING, SERVERS, Numbers, Row, cross, row, table
from harness.scenarios.scenario import Scenario, not_applicable
from harness.scenarios.sense import FACT, Sense
from harness.scenarios.tally import measured, tally, unclear
from harness.wire.observation import Attempt, Observation
from harness.wire.script import FEW, DueAttempt, DueFlows, Script

ID = "sharing"

UNDEFINED = re.compile(r"no SO_[A-Z_]+ in this system's headers")
"""The agent's sentence for an option that the headers do not define (docs/wire.md)."""

USERS = ("other-uid", "root-over-user")

LATE = ("after-bind", "second-after-bind")
"""The first or the second socket sets the option after its bind()."""

TIME_WAIT = "time-wait"

QUICK = (
    row("reuseport tcp ipv4 specific", case="both"),
    row("reuseport udp ipv6 wildcard", case="both"),
    row("reuseport tcp ipv6 wildcard", case="only-first"),
    row("reuseport tcp ipv4 specific", case="only-second"),
    row("reuseport tcp ipv4 specific", case="after-bind"),
    row("reuseport tcp ipv4 specific", case="second-after-bind"),
    row("reuseport tcp ipv4 specific", case="other-uid"),
    row("reuseport udp ipv4 wildcard", case="root-over-user"),
    row("reuseport tcp ipv4 wildcard", case="time-wait"),
    row("none tcp ipv4 wildcard", case="time-wait"),
    row("reuseaddr tcp ipv4 specific", case="both"),
    row("reuseport_lb tcp ipv4 specific", case="both"),
)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    return table(ID, QUICK if depth is Depth.QUICK else _full())


def _full() -> Iterator[Row]:
    """Yield all options for the plain case; other users and TIME_WAIT without dual stack.

    With SO_REUSEADDR and SO_REUSEPORT on one socket, other users are in `intrusion`.
    """
    yield from cross(ALL, BOTH, case=("both",))
    yield from cross(GROUPING[:3], BOTH, case=("only-first", "only-second", *LATE))
    for one in cross((SERVERS,), BOTH, case=("both", "only-first", "only-second", *LATE)):
        if one["family"] == "ipv4":
            yield one
    for one in cross(GROUPING[1:3], BOTH, case=USERS):
        if one["family"] != "mapped":
            yield one
    for one in cross(ALL[:4], BOTH[:1], case=(TIME_WAIT,)):
        if one["family"] != "mapped":
            yield one


def _failed(attempt: Attempt) -> str | None:
    """Return the verdict of an attempt that failed, None if it did not."""
    if attempt.error is None:
        return None
    return f"{'unsupported' if attempt.call == 'setsockopt' else 'refused'}:{attempt.error}"


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; the TIME_WAIT case sends no traffic."""
    attempts = (DueAttempt("first", needed=True), DueAttempt("second", needed=True))
    if asked.get("case") == TIME_WAIT:
        return Script(attempts)
    return Script((*attempts, DueFlows("traffic", FEW)))


def classify(seen: Observation) -> Judgement:
    """Name whether the second socket can bind; `shared` also needs traffic that is served.

    A successful setsockopt() or bind() alone proves nothing (docs/traps.md, trap 10).
    """
    first, second = seen.attempts[0], seen.attempts[-1]
    verdict = _failed(first)
    if verdict is not None and not verdict.startswith("unsupported"):
        return unclear(f"the first socket was refused: {first.call} {first.error}", {})
    verdict = verdict or _failed(second)
    if verdict is not None:
        return measured(verdict, {})
    if seen.parameters.get("case") == TIME_WAIT:
        return measured("shared", {})
    traffic = tally(seen.phase("traffic"))
    if traffic.served + traffic.copied == 0:
        return unclear("both sockets stand, but neither serves", traffic.counts())
    return measured("shared", traffic.counts())


def decline(seen: Observation) -> Judgement:
    """Return the verdict `undefined` if the headers lack the option, else `not-applicable`.

    Other scenarios have no such verdict: for them a missing option is `not-applicable`.
    """
    if seen.unsupported is not None and UNDEFINED.fullmatch(seen.unsupported):
        return measured("undefined", {})
    return not_applicable(seen)


SHARING = Scenario(
    id=ID,
    subject="a second socket on the port",
    sentence="Can a second socket bind to the port?",
    done="Two sockets were bound to one port: {case}.",
    words={
        "shared": Sense(
            FACT,
            "both are bound; the counts say which got traffic",
            (
                "a second worker, or the new process of a restart, can start beside the old "
                "one. It may still get no traffic: see distribution"
            ),
        ),
        "refused": Sense(
            FACT,
            "bind() or listen() failed with this errno",
            'the restart fails with "address already in use"',
            do="Set the option on every socket before bind(), as the same user",
        ),
        "undefined": Sense(
            FACT,
            "these headers have no such option",
            "programs that use it do not compile here",
            do="Guard the code with #ifdef",
        ),
        "unsupported": Sense(
            FACT,
            "setsockopt() failed with this errno",
            "the headers know the option, the kernel does not",
            do="Check at run time",
        ),
    },
    cells=cells,
    parameters=Numbers(16, 16, listeners=2),
    script=script,
    classify=classify,
    alarm=30.0,
    decline=decline,
)
