"""`server-port`: the same clients call the same group on other ports; do they reach the same
listeners?

This shows whether the hash includes the server's port. If it does not, a client with few source
ports gets the same worker of every service on the machine. Some kernels add the port only after
hashing (freebsd: netinet/in_pcb.c, INP_PCBLBGROUP_PKTHASH): then another port moves all flows
together, or none. Two ports cannot tell this from `same` or `never`, so the group visits several.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

from harness.model import Cell, Depth, Judgement
from harness.scenarios import statistics
from harness.scenarios.grid import SHARING, TUN, Numbers, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, Sense
from harness.scenarios.spread import Shape, spread
from harness.scenarios.tally import SAME, measured, newest_first, server, tally, unclear
from harness.wire.observation import Observation, number
from harness.wire.script import DueFlows, Script, members

ID = "server-port"

PLACES = ("ipv4 specific", "ipv6 wildcard")

PORTS = 8
"""How many ports the group visits. If another port moves all flows together, by one of four
places, all of them agree by chance in 1 of 16 384 cells."""

DEADLINE = 4000
"""ms at each port. The agent's own peer sends a lost SYN again after 1 s, and once more after 3."""

NUMBERS = Numbers(250, 1000)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    return table(ID, (row(f"{option} tcp {place}") for option in SHARING for place in PLACES))


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question; only the agent's own peer can use each port twice."""
    return {**NUMBERS(cell, depth), "deadline": str(DEADLINE), "ports": str(PORTS), "peer": TUN}


def _phases(asked: Mapping[str, str]) -> tuple[str, ...]:
    """Return the phases at the ports in order; answers from before there were several have two."""
    others = range(2, number(asked, "ports"))
    return ("all", "elsewhere", *(f"elsewhere-{port}" for port in others))


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: the same flows at each port."""
    every = members(range(number(asked, "listeners")))
    return Script((*every, *map(DueFlows, _phases(asked))))


def _chance(seen: Observation, other: str) -> float:
    """Return the chance that a flow has the same listener at both ports if they are independent.

    It uses the measured shares of the listeners; for k equal shares it is 1/k.
    """
    one, two = (tally(seen.phase(name)) for name in ("all", other))
    return sum(one.share(n) * two.share(two.members.get(k, 0)) for k, n in one.members.items())


def _agreement(seen: Observation, one: str, other: str) -> Sequence[bool]:
    """Return for each flow that was served at both ports whether the listener was the same."""
    fates = zip(seen.phase(one).fates, seen.phase(other).fates, strict=True)
    pairs = [(server(was), server(now)) for was, now in fates]
    return [was == now for was, now in pairs if None not in (was, now)]


def _together(seen: Observation, phases: Sequence[str]) -> tuple[str | None, Mapping[str, int]]:
    """Return the word if between any two ports nearly all flows move, or nearly none does."""
    shares = []
    for one, other in combinations(phases, 2):
        both = _agreement(seen, one, other)
        shares.append(sum(both) / len(both))
    stay, move = sum(one >= SAME for one in shares), sum(one <= 1 - SAME for one in shares)
    counts = {"port_pairs": len(shares), "pairs_same": stay, "pairs_never": move}
    if stay + move < len(shares):
        return None, counts
    return "same" if not move else "never" if not stay else "shifted", counts


def classify(seen: Observation) -> Judgement:
    """Compare each flow's listener at the ports, and test the agreement against chance."""
    phases = _phases(seen.parameters)
    for phase in phases:
        found = spread(tally(seen.phase(phase)), sorted(newest_first(seen)))
        if found.shape is Shape.ONE:
            return measured("one", tally(seen.phase(phase)).counts())
        if found.shape not in (Shape.BALANCED, Shape.SKEWED):
            why = found.why or f"the flows are {found.shape.value}"
            return unclear(why, tally(seen.phase(phase)).counts())
    return _compared(seen, phases)


def _compared(seen: Observation, phases: Sequence[str]) -> Judgement:
    others = phases[1:]
    both = [same for other in others for same in _agreement(seen, "all", other)]
    chance = sum(_chance(seen, other) for other in others) / len(others)
    p = statistics.two_sided(len(both), sum(both), chance)
    word, pairs = _together(seen, phases)
    counts = {"flows": len(seen.phase("all").fates), "compared": len(both), "same": sum(both)}
    if len(others) > 1:
        counts |= pairs
    figures = {"same_share": sum(both) / len(both), "by_chance": chance, "p_independent": p}
    if word is not None:
        return measured(word, counts, figures)
    if p > statistics.ALPHA_BALANCED:
        return measured("independent", counts, figures)
    if p <= statistics.ALPHA_OTHER:
        return measured("partly", counts, figures)
    return unclear(f"p = {p:.2g} for independence: neither likely nor excluded", counts, figures)


SERVER_PORT = Scenario(
    id=ID,
    subject="the same clients at another port",
    sentence="The same clients call the group on other ports: do the same listeners serve them?",
    done="The same clients called the same group at several ports.",
    words={
        "independent": Sense(
            FACT,
            "as often as by chance",
            "the hash includes the server's port",
            told=("{same/compared} comparisons met the same listener: as many as by chance.",),
        ),
        "same": Sense(
            FACT,
            "always",
            (
                "the hash does not include the server's port: a client that is unlucky at "
                "one port is unlucky at every port of these workers"
            ),
            told=("{same/compared} comparisons met the same listener.",),
        ),
        "never": Sense(
            FACT,
            "never",
            "another port moves every client to another listener",
            told=("{same/compared} comparisons met the same listener.",),
        ),
        "shifted": Sense(
            FACT,
            "all of them or none, depending on the two ports",
            (
                "the port is added after hashing: clients that share a listener at one port "
                "share one at every port"
            ),
        ),
        "partly": Sense(
            FACT,
            "neither always, never, nor as often as by chance",
            "part of the hash does not depend on the port",
            told=("{same/compared} comparisons met the same listener.",),
        ),
        "one": Sense(
            FACT,
            "one listener serves all at a port",
            "nothing is hashed",
            told=("One listener served all {flows} flows.",),
        ),
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=40.0,
    figure="same_share",
)
