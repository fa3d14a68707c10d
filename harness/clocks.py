"""How long anything may take, from a flow to a guest: each limit is more than all inside it.

So it is the innermost that speaks, with a reason of its own. Seconds, and those of one guest are
on a fast host: an emulated one is given more by its one slow-host factor.

A number of seconds that stands elsewhere contains no other limit: how often somebody looks, how
long one try of several lasts, how soon a process that does not end is killed, how old a file may
be. Each has its reason beside it.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from harness.errors import UsageError
from harness.model import Guest

if TYPE_CHECKING:  # the catalogue is 25 modules, which a list of guests does without
    from harness.scenarios.scenario import Scenario

SLOW = 4.0
"""The slow-host factor where the CPU is emulated."""

PREPARE = 900.0
"""Before a guest is started: packages, kernels, an agent. Their own limits are for silence, so that
a slow network is no failure; a vendor's image of gigabytes has a limit of its own."""

DOWNLOAD = 4 * 3600.0
"""For a vendor's image; a connection that falls silent is noticed within seconds."""

BUILD = 900.0
"""For the agent's compiler on this machine. The first build for a target makes its libc, too: 20 s
on two cores, much more on a busy one."""

AROUND_BOOT = 240.0
"""What a provider does around a boot: Vagrant's own start, its `ssh-config`, a login."""

VAGRANT_START = 60.0
"""For Vagrant to say what is installed: its first start makes its folder, on a slow disk. Not
scaled: Vagrant itself runs on this machine."""

VAGRANT_UP = 120.0
"""What `vagrant up` may take besides the guest's own boot."""

VAGRANT_LOGIN = 60.0
"""For a login to a guest that Vagrant has just spoken to; a restored one is dead for a moment."""

VAGRANT_RESTORE = 20.0
"""For a parked guest to go on, with a login; one that does not is made anew."""

VAGRANT_OFF = 30.0
"""For a guest to be powered off before it is parked; if that takes longer, it is destroyed."""

VAGRANT_DESTROY = 120.0
"""For `vagrant destroy`, which is written down before anybody knows how slow the guest is."""

LIBVIRT = 30.0
"""For one answer of libvirt's daemon, which runs on this machine."""

QEMU_RESTORE = 10.0
"""For a guest that was kept to go on, with a login; one that does not is booted."""

SAVE = 30.0
"""For a guest to be saved as it is. One that cannot be is made anew by the next run."""

GO_ON = 30.0
"""For QEMU to let a guest go on once it was saved, or could not be. Not scaled: QEMU itself runs on
this machine."""

KEPT_LOGIN = 60.0
"""For a login to a guest that was kept. Not scaled: its lease does not say how slow it is."""

REMOTE_LOGIN = 30.0
"""For a login where nothing boots: a machine that does not answer by then is off."""

SESSION = 30.0
"""For a session on a connection to open, where no command's own limit says how long."""

ISOLATION = 10.0
"""For a try of one kind of isolation on this machine; one that hangs is not taken."""

SETUP = 60.0
"""For one step with the agent: its folder, its upload, the question whether it is ours."""

COMPILE = 600.0
"""For the guest's own compiler."""

BECOME = 30.0
"""For `sudo` and its kin to let us in: they may wait for name servers that do not answer."""

FACTS = 20.0
"""For the guest to say what it is."""

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

    def alarm(self, scenario: "Scenario") -> int:
        """Return when the agent ends a question by itself."""
        return math.ceil(scenario.alarm * self.factor)

    def silence(self, scenarios: Iterable["Scenario"]) -> float:
        """Return for how long a batch may say nothing: an alarm makes it say something."""
        return max(map(self.alarm, scenarios)) + MARGIN * self.factor

    def batch(self, scenarios: Iterable["Scenario"], rounds: int) -> float:
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


def life(guest: Guest, batches: Iterable[tuple[Iterable["Scenario"], int]]) -> float:
    """Return how long a guest may take in all; `batches` are scenarios with their rounds."""
    clocks = Clocks(SLOW)
    setup = SLOW * (SETUP_STEPS * SETUP + COMPILE + BECOME + FACTS)
    asking = sum(clocks.batch(scenarios, rounds) for scenarios, rounds in batches)
    return LIVES * (boot(guest) + setup) + asking


def check(scenario: "Scenario", parameters: Mapping[str, str]) -> None:
    """Refuse a question whose flows may take longer than its alarm: it would never answer."""
    flows = len(scenario.script(parameters).phases) * int(parameters["deadline"]) / 1000
    if flows >= scenario.alarm:
        raise UsageError(
            f"{scenario.id}: its flows may take {flows:g} s, its alarm comes after "
            f"{scenario.alarm:g} s: the scenario's row is wrong"
        )
