"""The `vagrant` provider: boots a guest from a box; the guest ends with its context."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from harness.deadline import Deadline
from harness.errors import NotRunError
from harness.model import Guest
from harness.model.box import CATALOGUE_ENDS
from harness.providers import accelerators
from harness.providers.vagrant import boxes, plugins
from harness.providers.vagrant.boot import VagrantBoot
from harness.providers.vagrant.machine import Making, VagrantMachine
from harness.providers.vagrant.plugins import PROGRAM
from harness.providers.workshop import Workshop
from harness.transport import SshTransport

TOOLS = {PROGRAM: "boots other systems from boxes"}
"""Command to its purpose."""

EMULATING = ("libvirt", "qemu")
"""Vagrant providers that run QEMU, so a guest may have no hardware acceleration."""

HINT = "`reuseport-matrix doctor` lists what is missing; `--install --with vagrant` installs it"


CATALOGUE = f"from HashiCorp's catalogue, which ends on {CATALOGUE_ENDS}"


class VagrantProvider:
    """Boots guests that have a `vagrant` section."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def refusal(self, guest: Guest) -> str | None:
        """Return why no Vagrant provider can start the guest here; None if one can."""
        if guest.vagrant is None:
            return f"{guest.name} has no `vagrant` section"
        if shutil.which(PROGRAM) is None:
            return "vagrant not found: `reuseport-matrix doctor --install --with vagrant`"
        refusals = self._refusals(guest)
        if None in refusals.values():
            return None
        first, *others = refusals
        told = f"; nor by {', '.join(others)}" if others else ""
        return f"{first}: {refusals[first]}{told}"

    def download(self, guest: Guest) -> str | None:
        """Return the box that must be fetched first; None if it is installed."""
        provider = self._chosen(guest)
        assert guest.vagrant is not None
        box = guest.vagrant.boxes[provider]
        if boxes.version_here(box, provider) is not None:
            return None
        words = ["the box", box.box, box.version, f"for {provider}"]
        words.append("(its address is unchecked)" if box.unchecked else None)
        words.append(CATALOGUE if box.in_catalogue else None)
        return " ".join(word for word in words if word)

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[SshTransport]:
        """Bring the guest up and yield the connection to it.

        If the block ends without an exception, the guest stays up (with `keep` in the workshop) or
        may be parked for a later run.
        """
        with self.started(guest, deadline) as machine:
            yield machine.transport

    @contextmanager
    def started(self, guest: Guest, deadline: Deadline) -> Iterator[VagrantMachine]:
        """Bring the guest up and yield it; it can also be saved, restored and powered off."""
        reason = self.refusal(guest)
        if reason is not None:
            raise NotRunError(f"{guest.name}: {reason}", hint=HINT)
        with VagrantBoot(self._workshop, self._making(guest), deadline).up() as machine:
            yield machine

    def _refusals(self, guest: Guest) -> Mapping[str, str | None]:
        assert guest.vagrant is not None
        places = self._workshop.places
        return {
            provider: plugins.refusal(guest, provider, places) for provider in guest.vagrant.boxes
        }

    def _chosen(self, guest: Guest) -> str:
        """Return the first of the guest's providers that works here."""
        refusals = self._refusals(guest)
        return next(provider for provider, refusal in refusals.items() if refusal is None)

    def _making(self, guest: Guest) -> Making:
        places, provider = self._workshop.places, self._chosen(guest)
        accelerator, factor = provider, 1.0
        if provider in EMULATING:
            accelerator = self._accelerator(guest)
            factor = accelerators.slow_factor(accelerator)
        return Making(guest, provider, plugins.installed(places), accelerator, factor)

    def _accelerator(self, guest: Guest) -> str:
        assert guest.vagrant is not None
        if guest.vagrant.accelerator is not None:
            return guest.vagrant.accelerator
        program = accelerators.program_for(guest.architecture)
        if program is None:  # do not trust an accelerator that we cannot try
            return accelerators.TCG
        return accelerators.best(program, self._workshop.places)
