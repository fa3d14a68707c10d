"""The machines that can start a run's guests: this one, or those of a cluster."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from harness.agent import HOST, NATIVE
from harness.machine import capacity
from harness.machine.capacity import Turns
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.providers import Choices, Offer, virtualises
from harness.providers.workshop import Workshop


class Machine(Protocol):
    """A machine that can start guests.

    `name` is empty for this machine. `target` is the Zig target of its own kernel (`native`: there
    is none), or empty for this machine. `turns` gives out its CPUs. `accelerated`: its hardware
    virtualises.
    """

    @property
    def name(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def turns(self) -> Turns: ...

    @property
    def accelerated(self) -> bool: ...

    def best(self, guest: Guest) -> Offer:
        """Return how it would start a guest; raise `NotRunError` if it cannot.

        The offer's provider boots the guest there.
        """

    def startable(self, guest: Guest) -> bool:
        """Return whether it can start the guest without a download."""

    def slots(self, guests: Sequence[Guest], *, servers: bool) -> int:
        """Return how many of these guests, which it can start, may be up at once; at least one.

        With `servers`, the run asks about servers.
        """


Machines = Callable[[Workshop, str | None], Sequence[Machine]]
"""Returns the machines of a run, for its settings and the one provider that a user allows."""


class OwnMachine:
    """The machine that the harness runs on."""

    name = ""
    target = ""

    def __init__(self, places: Places, choices: Choices) -> None:
        self._places = places
        self._choices = choices
        self.turns = Turns(capacity.cores())

    @property
    def accelerated(self) -> bool:
        """Whether QEMU can use the hardware here."""
        return virtualises(self._places)

    def best(self, guest: Guest) -> Offer:
        """Return the best offer of the providers here, or raise `NotRunError`."""
        return self._choices.best(guest)

    def startable(self, guest: Guest) -> bool:
        """Return whether a provider here can start the guest without a download."""
        return self._choices.startable(guest)

    def slots(self, guests: Sequence[Guest], *, servers: bool) -> int:
        """Return how many of these guests fit into the memory and onto the CPUs."""
        found = [guest.section(self.best(guest).name) for guest in guests]
        needs = [capacity.memory_of(one, servers=servers) for one in found]
        accelerated = any(section.made for section in found) and self.accelerated
        return capacity.jobs(needs, capacity.memory(), capacity.cores(), accelerated=accelerated)


def own_machine(workshop: Workshop, only: str | None) -> tuple[Machine, ...]:
    """Return this machine alone: the machines of a run without a cluster."""
    return (OwnMachine(workshop.places, Choices(workshop, only)),)


class Start(Struct, frozen=True):
    """A machine that can start a guest, and its offer."""

    machine: Machine
    offer: Offer


def fitted(guest: Guest, machine: Machine) -> Guest:
    """Return the guest with an agent for this machine, if its agent is that of any machine."""
    if not machine.target or guest.agent.target not in (None, HOST):
        return guest
    if guest.agent.build is not None or guest.agent.path is not None:
        return guest
    native = machine.target == NATIVE
    agent = AgentSource(build="guest-cc") if native else AgentSource(target=machine.target)
    return replace(guest, agent=agent)
