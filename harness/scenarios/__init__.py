"""The catalogue of all scenarios, and the cells that a run asks about."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from harness.model import Cell, Depth
from harness.scenarios.backlog import BACKLOG
from harness.scenarios.bound_only import BOUND_ONLY
from harness.scenarios.confined import CONFINED
from harness.scenarios.connected import CONNECTED
from harness.scenarios.datagrams import DATAGRAMS
from harness.scenarios.distribution import DISTRIBUTION
from harness.scenarios.drain import DRAIN
from harness.scenarios.failure_arrivals import FAILURE_ARRIVALS
from harness.scenarios.failure_established import FAILURE_ESTABLISHED
from harness.scenarios.failure_flows import FAILURE_FLOWS
from harness.scenarios.failure_handshake import FAILURE_HANDSHAKE
from harness.scenarios.failure_hung import FAILURE_HUNG
from harness.scenarios.failure_queued import FAILURE_QUEUED
from harness.scenarios.fallback import FALLBACK
from harness.scenarios.group_limit import GROUP_LIMIT
from harness.scenarios.intrusion import INTRUSION
from harness.scenarios.last_gone import LAST_GONE
from harness.scenarios.listen_order import LISTEN_ORDER
from harness.scenarios.one_listener import ONE_LISTENER
from harness.scenarios.orphans import ORPHANS
from harness.scenarios.precedence import PRECEDENCE
from harness.scenarios.restart import RESTART
from harness.scenarios.scenario import Scenario
from harness.scenarios.server_port import SERVER_PORT
from harness.scenarios.sharing import SHARING
from harness.scenarios.steering import STEERING
from harness.scenarios.takeover import TAKEOVER
from harness.wire.script import Script, Scripts

CATALOGUE: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.id: scenario
        for scenario in (
            SHARING,
            INTRUSION,
            DISTRIBUTION,
            ONE_LISTENER,
            SERVER_PORT,
            LISTEN_ORDER,
            STEERING,
            TAKEOVER,
            FALLBACK,
            FAILURE_ESTABLISHED,
            FAILURE_QUEUED,
            FAILURE_HANDSHAKE,
            FAILURE_ARRIVALS,
            FAILURE_FLOWS,
            FAILURE_HUNG,
            ORPHANS,
            BOUND_ONLY,
            BACKLOG,
            LAST_GONE,
            PRECEDENCE,
            CONFINED,
            GROUP_LIMIT,
            DRAIN,
            DATAGRAMS,
            CONNECTED,
            RESTART,
        )
    }
)
"""By id. Runs ask and reports show them in this order, which is that of docs/behaviours.md."""

SCRIPTS: Scripts = MappingProxyType(
    {"facts": lambda _: Script()} | {name: one.script for name, one in CATALOGUE.items()}
)
"""The script of a complete answer to each question. `facts` asks about the guest itself."""


def cells(depth: Depth, scenarios: Iterable[str] | None = None) -> tuple[Cell, ...]:
    """Return the cells of all scenarios, or of those named, in catalogue order.

    Raise KeyError with the names that are not in the catalogue.
    """
    named = set(CATALOGUE if scenarios is None else scenarios)
    unknown = named - CATALOGUE.keys()
    if unknown:
        raise KeyError(*sorted(unknown))
    chosen = (scenario for scenario in CATALOGUE.values() if scenario.id in named)
    return tuple(cell for scenario in chosen for cell in scenario.cells(depth))
