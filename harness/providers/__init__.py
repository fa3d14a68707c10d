"""Who can make a guest live: one module each, and this table."""

import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.errors import NotRunError, UsageError
from harness.machine.places import Places
from harness.model import Guest
from harness.model.guest import SECTIONS
from harness.protocols import Provider
from harness.providers import accelerators
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
    "qemu": QemuProvider,
    "vagrant": VagrantProvider,
    "ssh": ExistingMachine,
}
"""One for each section of a guest file (model/guest.py, SECTIONS), in order of preference."""

TOOLS: Mapping[str, str] = {**QEMU_TOOLS, **VAGRANT_TOOLS}
"""Command to what it is for; none is needed for the host's own kernel."""

ELSEWHERE = "run it there, or give it an `ssh` section that leads there (docs/guests.md)"


class Offer(Struct, frozen=True):
    """What one provider says of a guest here: `refusal` is None if it would start it.

    `download` is what it would fetch first.
    """

    name: str
    provider: Provider
    refusal: str | None
    download: str | None


def offers(guest: Guest, workshop: Workshop, only: str | None = None) -> tuple[Offer, ...]:
    """Return what each provider that the guest's file speaks of says, or just `only`."""
    if only is not None and only not in PROVIDERS:
        raise UsageError(f"there is no provider {only}", hint=f"known: {', '.join(PROVIDERS)}")
    names = [name for name in PROVIDERS if name in guest.sections]
    return tuple(_offer(guest, workshop, name) for name in (names if only is None else [only]))


def _offer(guest: Guest, workshop: Workshop, name: str) -> Offer:
    provider = PROVIDERS[name](workshop)
    refusal = _forbidden(guest, name) or provider.refusal(guest)
    download = provider.download(guest) if refusal is None else None
    return Offer(name, provider, refusal, download)


def _forbidden(guest: Guest, provider: str) -> str | None:
    """Why the guest may not run on this machine at all; one that is elsewhere does not."""
    limit = guest.only_on
    if limit is None or SECTIONS[provider].elsewhere:
        return None
    allowed = platform.system() == limit.system and limit.machine in (None, platform.machine())
    return None if allowed else limit.why


def choose(guest: Guest, workshop: Workshop, only: str | None = None) -> Offer:
    """Return the `best` offer for a guest, or raise `NotRunError`."""
    return best(guest, offers(guest, workshop, only))


def best(guest: Guest, found: Sequence[Offer]) -> Offer:
    """Return the first that would start the guest, if possible without a download.

    Raise `NotRunError` with each one's refusal.
    """
    able = [offer for offer in found if offer.refusal is None]
    for offer in sorted(able, key=lambda offer: offer.download is not None):
        return offer
    elsewhere = bool(found) and all(_forbidden(guest, offer.name) for offer in found)
    raise NotRunError(
        f"{guest.name} cannot be started here: {_reasons(found)}",
        hint=ELSEWHERE if elsewhere else "`reuseport-matrix doctor` says what this machine lacks",
    )


def virtualises(places: Places) -> bool:
    """Whether this machine's hardware does, as far as QEMU shows."""
    program = shutil.which(PROGRAM)
    return program is not None and accelerators.best(Path(program), places) != accelerators.TCG


class Choices:
    """Who starts which guest here: asked once of each guest, however often that is needed."""

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
        """Whether somebody would start the guest with what is on this machine."""
        try:
            return self.best(guest).download is None
        except NotRunError:
            return False


def _reasons(found: Sequence[Offer]) -> str:
    """Say each one's refusal, and one that all share only once."""
    refusals = dict.fromkeys(offer.refusal for offer in found)
    if len(refusals) == 1 and len(found) > 1:
        return str(found[0].refusal)
    return "; ".join(f"{offer.name}: {offer.refusal}" for offer in found) or "no provider for it"
