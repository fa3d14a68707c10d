"""How long anything may take, from a flow to a guest: each limit is more than all inside it.

So it is the innermost that speaks, with a reason of its own. Seconds, and those of one guest are
on a fast host: an emulated one is given more by its one slow-host factor.
"""

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from harness.errors import UsageError
from harness.model import Guest
from harness.scenarios.scenario import Scenario

SLOW = 4.0
"""The slow-host factor where the CPU is emulated."""

PREPARE = 900.0
"""Before a guest is started: packages, kernels, an agent. Their own limits are for silence, so that
a slow network is no failure; a vendor's image of gigabytes has a limit of its own."""

AROUND_BOOT = 240.0
"""What a provider does around a boot: Vagrant's own start, its `ssh-config`, a login."""

SETUP = 60.0
"""For one step with the agent: its folder, its upload, the question whether it is ours."""

COMPILE = 600.0
"""For the guest's own compiler."""

BECOME = 30.0
"""For `sudo` and its kin to let us in: they may wait for name servers that do not answer."""

FACTS = 20.0

SETUP_STEPS = 4

MARGIN = 10.0
"""Between an alarm and what waits for it."""

ALARMED, USUAL = 3, 0.12
"""A batch may take so many alarms, and for each question so much of one, before its transport
gives up: waiting for every alarm of a guest that hangs would take hours."""

LIVES = 2
"""A guest is given the time of so many boots, and to ask everything once; one that keeps dying is
given up when that is over."""


class Clocks(Struct, frozen=True):
    """The limits of one guest, whose slow-host factor is known."""

    factor: float = 1.0

    def alarm(self, scenario: Scenario) -> int:
        """Return when the agent ends a question by itself."""
        return math.ceil(scenario.alarm * self.factor)

    def silence(self, scenarios: Iterable[Scenario]) -> float:
        """Return for how long a batch may say nothing: an alarm makes it say something."""
        return max(map(self.alarm, scenarios)) + MARGIN * self.factor

    def batch(self, scenarios: Iterable[Scenario], rounds: int) -> float:
        """Return how long the transport waits for a batch that asks these in so many rounds."""
        alarms = min(rounds, ALARMED) + rounds * USUAL
        return alarms * max(map(self.alarm, scenarios)) + MARGIN * self.factor

    @property
    def facts(self) -> float:
        """For the guest to say what it is."""
        return FACTS * self.factor


def boot(guest: Guest) -> float:
    """Return how long it may be until a guest is up, by whichever provider."""
    own = max((section.boot_timeout for section in guest.sections.values()), default=0.0)
    return PREPARE + SLOW * (own + AROUND_BOOT)


def life(guest: Guest, batches: Iterable[tuple[Iterable[Scenario], int]]) -> float:
    """Return how long a guest may take in all; `batches` are scenarios with their rounds."""
    clocks = Clocks(SLOW)
    setup = SLOW * (SETUP_STEPS * SETUP + COMPILE + BECOME + FACTS)
    asking = sum(clocks.batch(scenarios, rounds) for scenarios, rounds in batches)
    return LIVES * (boot(guest) + setup) + asking


def check(scenario: Scenario, parameters: Mapping[str, str]) -> None:
    """Refuse a question whose flows may take longer than its alarm: it would never answer."""
    flows = len(scenario.script(parameters).phases) * int(parameters["deadline"]) / 1000
    if flows >= scenario.alarm:
        raise UsageError(
            f"{scenario.id}: its flows may take {flows:g} s, its alarm comes after "
            f"{scenario.alarm:g} s: the scenario's row is wrong"
        )
