"""The providers that start guests: one module each, and the table of them."""

import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.errors import NotRunError, UsageError
from harness.machine.architecture import machine, named
from harness.machine.places import Places
from harness.model import Guest
from harness.model.guest import SECTIONS
from harness.protocols import Provider
from harness.providers import accelerators
from harness.providers.gvisor.provider import GvisorProvider
from harness.providers.host import ThisMachine
from harness.providers.qemu.command import PROGRAM
from harness.providers.qemu.provider import TOOLS as QEMU_TOOLS
from harness.providers.qemu.provider import QemuProvider
from harness.providers.ssh import ExistingMachine
from harness.providers.vagrant.provider import TOOLS as VAGRANT_TOOLS
from harness.providers.vagrant.provider import VagrantProvider
from harness.providers.workshop import Workshop

PROVIDERS: Mapping[str, Callable[[Workshop], Provider]] = {
    "host": ThisMachine,
    "gvisor": GvisorProvider,
    "qemu": QemuProvider,
    "vagrant": VagrantProvider,
    "ssh": ExistingMachine,
}
"""Guest file section (model/guest.py, SECTIONS) to its provider, in order of preference."""

TOOLS: Mapping[str, str] = {**QEMU_TOOLS, **VAGRANT_TOOLS}
"""Command to its purpose; the host's own kernel needs none of them."""

ELSEWHERE = "run there, or add an `ssh` section that reaches such a machine (docs/guests.md)"


class Offer(Struct, frozen=True):
    """One provider's answer for a guest on this machine: `refusal` is None if it can start it.

    `download` names what it would fetch first, None if nothing.
    """

    name: str
    provider: Provider
    refusal: str | None
    download: str | None


def offers(guest: Guest, workshop: Workshop, only: str | None = None) -> tuple[Offer, ...]:
    """Return the offer of each provider that the guest file has a section for, or of `only`."""
    if only is not None and only not in PROVIDERS:
        raise UsageError(f"unknown provider: {only}", hint=f"known: {', '.join(PROVIDERS)}")
    names = [name for name in PROVIDERS if name in guest.sections]
    return tuple(_offer(guest, workshop, name) for name in (names if only is None else [only]))


def _offer(guest: Guest, workshop: Workshop, name: str) -> Offer:
    provider = PROVIDERS[name](workshop)
    refusal = _forbidden(guest, name) or provider.refusal(guest)
    download = provider.download(guest) if refusal is None else None
    return Offer(name, provider, refusal, download)


def _forbidden(guest: Guest, provider: str) -> str | None:
    """Return why the guest may not run on this machine; None for a provider that runs elsewhere."""
    limit = guest.only_on
    if limit is None or SECTIONS[provider].elsewhere:
        return None
    here = limit.machine is None or named(limit.machine) == machine()
    allowed = platform.system() == limit.system and here
    return None if allowed else limit.why


def choose(guest: Guest, workshop: Workshop, only: str | None = None) -> Offer:
    """Return the `best` offer for a guest, or raise `NotRunError`."""
    return best(guest, offers(guest, workshop, only))


def best(guest: Guest, found: Sequence[Offer]) -> Offer:
    """Return the first offer that can start the guest, preferring those without a download.

    Raise `NotRunError` with every provider's refusal if none can.
    """
    able = [offer for offer in found if offer.refusal is None]
    for offer in sorted(able, key=lambda offer: offer.download is not None):
        return offer
    elsewhere = bool(found) and all(_forbidden(guest, offer.name) for offer in found)
    raise NotRunError(
        f"{guest.name} cannot be started here: {_reasons(found)}",
        hint=ELSEWHERE if elsewhere else "`reuseport-matrix doctor` lists what this machine lacks",
    )


def virtualises(places: Places) -> bool:
    """Return whether QEMU can use this machine's hardware acceleration."""
    program = shutil.which(PROGRAM)
    return program is not None and accelerators.best(Path(program), places) != accelerators.TCG


class Choices:
    """Picks the provider of each guest on this machine, and remembers the answer."""

    def __init__(self, workshop: Workshop, only: str | None = None) -> None:
        self._workshop = workshop
        self._only = only
        self._found: dict[str, tuple[Offer, ...]] = {}

    def best(self, guest: Guest) -> Offer:
        """Return the best offer for a guest, or raise `NotRunError`."""
        if guest.name not in self._found:
            self._found[guest.name] = offers(guest, self._workshop, self._only)
        return best(guest, self._found[guest.name])

    def startable(self, guest: Guest) -> bool:
        """Return whether a provider can start the guest without a download."""
        try:
            return self.best(guest).download is None
        except NotRunError:
            return False


def _reasons(found: Sequence[Offer]) -> str:
    """Join the refusals into one sentence; a refusal that all share appears once."""
    refusals = dict.fromkeys(offer.refusal for offer in found)
    if len(refusals) == 1 and len(found) > 1:
        return str(found[0].refusal)
    return "; ".join(f"{offer.name}: {offer.refusal}" for offer in found) or "it names no provider"
