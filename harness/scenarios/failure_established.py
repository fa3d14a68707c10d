"""`failure-established`: every worker has accepted connections; one worker fails."""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement, State
from harness.scenarios.grid import FAILURES, SHARING, Numbers, cross, row, table
from harness.scenarios.scenario import NO_SHUTDOWN, STAYS, Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, Sense
from harness.scenarios.tally import Tally, measured, server, tally, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueChanges, DueFlows, Script, members_then

ID = "failure-established"

QUICK = (
    "reuseport tcp ipv4 specific kill",
    "reuseport tcp ipv6 wildcard close",
    "reuseport_lb tcp ipv4 wildcard kill",
)

IN_TURN = "in-turn"
"""How members join, since kernels are asked that serve only one of them: each has connections
then. Answers without it are of older versions, whose members had all come before the first flow."""

NUMBERS = Numbers(160, 400)


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return what the agent is asked: a part of the flows connects whenever a member has come."""
    return {**NUMBERS(cell, depth), "joining": IN_TURN}


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    if depth is Depth.QUICK:
        return table(ID, map(row, QUICK))
    return table(ID, cross(SHARING, ("tcp",), failure=FAILURES))


def script(asked: Mapping[str, str]) -> Script:
    """Return what a whole answer consists of: with `in-turn`, if all lived when the last came."""
    joined = (DueFlows("joined"),) if asked.get("joining") == IN_TURN else ()
    return members_then(DueFlows("before"), *joined, DueChanges(), DueFlows("after"))(asked)


def _ousted(seen: Observation) -> str | None:
    """Return why the failure is not what broke a connection; None if all lived until then."""
    if seen.parameters.get("joining") != IN_TURN:
        return None
    pairs = zip(seen.phase("before").fates, seen.phase("joined").fates, strict=True)
    broke = sum(server(was) is not None and now != was for was, now in pairs)
    return (
        f"{broke} connections broke when newer members came, before one failed" if broke else None
    )


def moot(one: Judgement) -> bool:
    """Return whether one listener served all, so that no other one had a connection to lose."""
    return one.state is State.NOT_APPLICABLE and one.counts.get("survivors_total") == 0


def classify(seen: Observation) -> Judgement:
    """Count the survivors' connections that do not answer again.

    The failed worker's own connections are counted apart, as `victim_…`; they make no verdict.
    """
    victim, before = seen.changes[0].member, tally(seen.phase("before"))
    pairs = list(zip(seen.phase("before").fates, seen.phase("after").fates, strict=True))
    survivors = [now == was for was, now in pairs if server(was) not in (None, victim)]
    own = [now for was, now in pairs if server(was) == victim]
    counts = {
        "survivors_dropped": survivors.count(False),
        "survivors_total": len(survivors),
        "victim_dropped": sum(server(now) is None for now in own),
        "victim_total": len(own),
        "not_established": before.flows - before.served,
        **{f"victim_{fate}": count for fate, count in sorted(Tally.of(own).unserved.items())},
    }
    if (loss := before.loss()) is not None:
        return unclear(loss, counts)
    if (ousted := _ousted(seen)) is not None:
        return unclear(ousted, counts)
    if not survivors:
        why = f"no survivor had a connection: listener {victim + 1} served all {before.served}"
        return Judgement(State.NOT_APPLICABLE, why=why, counts=counts)
    if any(server(now) not in (None, server(was)) for was, now in pairs if server(was) is not None):
        return unclear("a connection was answered by another listener than its own", counts)
    if False in survivors:
        return measured(f"dropped:{survivors.count(False)}/{len(survivors)}", counts)
    return measured("unaffected", counts)


FAILURE_ESTABLISHED = Scenario(
    id=ID,
    subject="accepted connections of the survivors",
    sentence="A worker fails: do the survivors' accepted connections live on?",
    done="{failure} while the workers had open connections.",
    words={
        "unaffected": Sense(
            LOSSLESS,
            "no survivor's connection was touched",
            ("a crash costs that worker's own connections, which are counted apart"),
            told=(
                "{survivors_total} connections of the other workers lived on.",
                "Of its own, {victim_dropped/victim_total} broke.",
            ),
        ),
        "dropped": Sense(
            NOTICED,
            "this many of the survivors' connections broke",
            "a crash also costs other workers' clients",
            told=(("{survivors_dropped/survivors_total} connections of the other workers broke."),),
        ),
        NO_SHUTDOWN: STAYS,
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
    load=0,
    moot=moot,
)
