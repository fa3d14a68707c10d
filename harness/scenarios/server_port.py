"""`server-port`: the same clients call the same group on another port; do they reach the same
listeners?

This shows whether the hash includes the server's port. If it does not, a client with few source
ports gets the same worker of every service on the machine.
"""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios import statistics
from harness.scenarios.grid import SHARING, TUN, Numbers, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.spread import Shape, spread
from harness.scenarios.tally import SAME, measured, newest_first, server, tally, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueFlows, members_then

ID = "server-port"

PLACES = ("ipv4 specific", "ipv6 wildcard")

NUMBERS = Numbers(1000, 4000)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    return table(ID, (row(f"{option} tcp {place}") for option in SHARING for place in PLACES))


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question; only the agent's own peer can use each port twice."""
    return {**NUMBERS(cell, depth), "peer": TUN}


def _chance(seen: Observation) -> float:
    """Return the chance that a flow has the same listener at both ports if they are independent.

    It uses the measured shares of the listeners; for k equal shares it is 1/k.
    """
    one, two = (tally(seen.phase(name)) for name in ("all", "elsewhere"))
    return sum(one.share(n) * two.share(two.members.get(k, 0)) for k, n in one.members.items())


def classify(seen: Observation) -> Judgement:
    """Compare each flow's listener at both ports, and test the agreement against chance."""
    for phase in ("all", "elsewhere"):
        found = spread(tally(seen.phase(phase)), sorted(newest_first(seen)))
        if found.shape is Shape.ONE:
            return measured("one", tally(seen.phase(phase)).counts())
        if found.shape not in (Shape.BALANCED, Shape.SKEWED):
            why = found.why or f"the flows are {found.shape.value}"
            return unclear(why, tally(seen.phase(phase)).counts())
    fates = zip(seen.phase("all").fates, seen.phase("elsewhere").fates, strict=True)
    pairs = [(server(one), server(two)) for one, two in fates]
    both = [one == two for one, two in pairs if None not in (one, two)]
    chance = _chance(seen)
    p = statistics.two_sided(len(both), sum(both), chance)
    counts = {"flows": len(pairs), "compared": len(both), "same": sum(both)}
    figures = {"same_share": sum(both) / len(both), "by_chance": chance, "p_independent": p}
    if sum(both) >= SAME * len(both):
        return measured("same", counts, figures)
    if p > statistics.ALPHA_BALANCED:
        return measured("independent", counts, figures)
    if p <= statistics.ALPHA_OTHER:
        return measured("partly", counts, figures)
    return unclear(f"p = {p:.2g} for independence: neither likely nor excluded", counts, figures)


SERVER_PORT = Scenario(
    id=ID,
    sentence="The same clients call the group on another port: do the same listeners serve them?",
    words=("independent", "same", "partly", "one"),
    cells=cells,
    parameters=parameters,
    script=members_then(DueFlows("all"), DueFlows("elsewhere")),
    classify=classify,
    alarm=40.0,
    figure="same_share",
)
