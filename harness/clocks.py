"""Time limits in seconds, from one flow to a whole guest. Each is longer than the limits inside it.

So the innermost limit passes first, and the message names the real cause. Limits inside a guest are
for a fast host; an emulated guest multiplies them by its slow-host factor.

Limits in other modules contain no further limit: intervals between checks, one attempt of several,
the wait before a process is killed, the age of a file. Each has its reason beside it.
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
"""The slow-host factor of a guest whose CPU is emulated."""

PREPARE = 900.0
"""For packages, kernels and an agent, before a guest is started. Downloads are limited by silence,
so that a slow network is not a failure. A vendor's image of gigabytes has its own limit."""

DOWNLOAD = 4 * 3600.0
"""For a vendor's image. A connection that falls silent is noticed within seconds."""

BUILD = 900.0
"""For compiling the agent on this machine. The first build for a target also builds its libc, which
takes 20 s on two cores and much longer on a busy machine."""

AROUND_BOOT = 240.0
"""For what a provider does around a boot: Vagrant's own start, its `ssh-config`, a login."""

VAGRANT_START = 60.0
"""For Vagrant to list what is installed. Its first start creates its folder, which is slow on a
slow disk. Not scaled, because Vagrant itself runs on this machine."""

VAGRANT_UP = 120.0
"""For `vagrant up`, in addition to the guest's own boot."""

VAGRANT_LOGIN = 60.0
"""For a login to a guest that Vagrant has just reached. A restored guest may need a moment."""

VAGRANT_RESTORE = 20.0
"""For a parked guest to resume and accept a login. If it does not, a new guest is made."""

VAGRANT_OFF = 30.0
"""For powering a guest off before it is parked. If it takes longer, the guest is destroyed."""

VAGRANT_DESTROY = 120.0
"""For `vagrant destroy`. Not scaled: the lease stores it before the guest's speed is known."""

LIBVIRT = 30.0
"""For one answer of the libvirt daemon, which runs on this machine."""

QEMU_RESTORE = 10.0
"""For a warm guest to resume and accept a login. If it does not, the guest is booted."""

SAVE = 30.0
"""For saving the state of a guest. If that fails, the next run boots a new guest."""

SWITCH_OFF = 60.0
"""For a guest to switch itself off, so that its disk can be kept."""

GO_ON = 30.0
"""For QEMU to resume a guest after saving it, or after failing to. Not scaled, because QEMU itself
runs on this machine."""

KEPT_LOGIN = 60.0
"""For a login to a guest that was kept. Not scaled, because its lease does not store its speed."""

REMOTE_LOGIN = 30.0
"""For a login to a machine that is already up. If it does not answer by then, it is off."""

SESSION = 30.0
"""For opening a session on a connection, where no command's limit applies."""

ISOLATION = 10.0
"""For testing one kind of isolation on this machine. One that hangs is not used."""

SANDBOX = 10.0
"""For a gVisor sandbox to start on one platform, which takes 0.2 to 0.4 s. One that hangs (`kvm`
without working hardware) is not used."""

SETUP = 60.0
"""For one step of installing the agent: making its folder, the upload, vouching for it."""

COMPILE = 600.0
"""For the guest's own compiler."""

BECOME = 30.0
"""For `sudo`, `doas` or `su`, which may wait for name servers that do not answer."""

FACTS = 20.0
"""For the guest to report its facts."""

SETUP_STEPS = 7

MARGIN = 10.0
"""Between an alarm and the limit of the command that waits for it."""

ALARMED, ROUND = 3, 5.0
"""A batch may take up to 3 alarms, plus 5 s per round, before its transport gives up. Waiting for
every alarm of a guest that hangs would take hours."""

LIVES = 2
"""A guest gets the time for two boots and for asking everything once. A guest that keeps dying is
given up after that."""


class Clocks(Struct, frozen=True):
    """The limits of one guest with a known slow-host factor."""

    factor: float = 1.0

    def alarm(self, scenario: "Scenario") -> int:
        """Return the seconds after which the agent itself ends a question."""
        return math.ceil(scenario.alarm * self.factor)

    def silence(self, scenarios: Iterable["Scenario"]) -> float:
        """Return how long a batch may be silent: an alarm produces output, so a bit longer."""
        return max(map(self.alarm, scenarios)) + MARGIN * self.factor

    def batch(self, scenarios: Iterable["Scenario"], rounds: int) -> float:
        """Return how long the transport waits for a batch with these scenarios and rounds."""
        alarms = min(rounds, ALARMED) * max(map(self.alarm, scenarios))
        return alarms + (rounds * ROUND + MARGIN) * self.factor

    @property
    def facts(self) -> float:
        """For the guest to report its facts."""
        return FACTS * self.factor


def slow_factor(provenance: Mapping[str, str]) -> float:
    """Return the factor of a guest that is up: 1 for a fast host, `SLOW` for an emulated CPU."""
    return float(provenance.get("slow_factor", "1"))


def boot(guest: Guest) -> float:
    """Return how long a guest may take to come up, with any of its providers."""
    own = max((section.boot_seconds for section in guest.sections.values()), default=0.0)
    return PREPARE + SLOW * (own + AROUND_BOOT)


def life(guest: Guest, batches: Iterable[tuple[Iterable["Scenario"], int]]) -> float:
    """Return how long a guest may take in all; `batches` are scenarios with their rounds."""
    clocks = Clocks(SLOW)
    setup = SLOW * (SETUP_STEPS * SETUP + COMPILE + BECOME + FACTS)
    asking = sum(clocks.batch(scenarios, rounds) for scenarios, rounds in batches)
    return LIVES * (boot(guest) + setup) + asking


def check(scenario: "Scenario", parameters: Mapping[str, str]) -> None:
    """Raise `UsageError` if a question's flows may take longer than its alarm.

    The alarm would end such a question before it can answer.
    """
    flows = len(scenario.script(parameters).phases) * int(parameters["deadline"]) / 1000
    if flows >= scenario.alarm:
        raise UsageError(
            f"{scenario.id}: its flows may take {flows:g} s, but its alarm comes after "
            f"{scenario.alarm:g} s; correct the scenario's row"
        )
