"""`bound-only`: one more socket is bound but does not listen yet, like a worker slow to start."""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import SHARING, Numbers, cross, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, Sense
from harness.scenarios.tally import STRAY, kind, measured, tally, unclear
from harness.wire.observation import Observation, number
from harness.wire.script import DueChanges, DueFlows, Script, members

ID = "bound-only"

POSITIONS = ("first", "last")

QUICK = (
    row("reuseport tcp ipv4 specific", position="last"),
    row("reuseport tcp ipv4 wildcard", position="first"),
    row("reuseport tcp ipv6 wildcard", position="last"),
    row("reuseport_lb tcp ipv4 specific", position="last"),
)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario: TCP only, because datagram sockets never listen."""
    if depth is Depth.QUICK:
        return table(ID, QUICK)
    return table(ID, cross(SHARING, ("tcp",), position=POSITIONS))


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: the bound-only socket binds first or last."""
    # The agent gives the bound-only socket the index after the listeners'.
    last = number(asked, "listeners")
    first = asked.get("position", "last") == "first"
    order = (last, *range(last)) if first else range(last + 1)
    return Script((*members(order), DueFlows("all"), DueChanges(), DueFlows("alone")))


def classify(seen: Observation) -> Judgement:
    """Name what the bound-only socket does to connections, with the share of them it affects.

    `swallowed` connections get neither an answer nor an error; `refused` ones get an error.
    """
    # `alone` is the same group without that socket: losses there have another cause.
    if (loss := tally(seen.phase("alone")).loss()) is not None:
        why = f"without that socket it is no better: {loss}"
        return unclear(why, tally(seen.phase("all")).counts())
    everything = tally(seen.phase("all"))
    counts, few = everything.counts(), STRAY * everything.flows
    kinds = [kind(fate) for fate in seen.phase("all").fates]
    swallowed = kinds.count("stranded")
    refused = kinds.count("refused") + kinds.count("reset")
    figures = {
        "swallowed_share": everything.share(swallowed),
        "refused_share": everything.share(refused),
    }
    other = everything.flows - everything.served - swallowed - refused
    if other > few or (swallowed > few and refused > few) or 0 < refused <= few:
        why = f"{swallowed} swallowed, {refused} refused, {other} otherwise: no one fate"
        return unclear(why, counts, figures)
    if refused > few:
        return measured(f"refused:{figures['refused_share']:.2f}", counts, figures)
    if swallowed > few:
        return measured(f"swallowed:{figures['swallowed_share']:.2f}", counts, figures)
    return measured("harmless", counts, figures)


BOUND_ONLY = Scenario(
    id=ID,
    subject="a socket that does not listen",
    sentence="One more socket is bound but does not listen: does it take connections?",
    done="One more socket was bound, {position} of all, and did not listen.",
    words={
        "harmless": Sense(
            LOSSLESS,
            "it takes nothing",
            "bind early, listen when ready",
            told=("It took none of the {flows} flows.",),
        ),
        "swallowed": Sense(
            NOTICED,
            "this share of connections times out",
            "a worker that is slow to start costs connections",
            do="Bind and listen in one go, only when ready",
            told=("{timeout/flows} flows got no answer.",),
        ),
        "refused": Sense(
            NOTICED,
            "this share is refused",
            "a worker that is slow to start costs connections",
            do="Bind and listen in one go, only when ready",
            told=("{ECONNREFUSED/flows} flows were refused.",),
        ),
    },
    cells=cells,
    parameters=Numbers(160, 400),
    script=script,
    classify=classify,
    alarm=30.0,
)
