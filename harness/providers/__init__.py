"""Who can make a guest live: one module each, and this table."""

from collections.abc import Callable, Mapping

from harness.errors import NotRunError, UsageError
from harness.model import Guest
from harness.protocols import Provider
from harness.providers.host import ThisMachine
from harness.providers.qemu import QemuProvider
from harness.providers.ssh import ExistingMachine
from harness.providers.workshop import Workshop

PROVIDERS: Mapping[str, Callable[[Workshop], Provider]] = {
    "host": ThisMachine,
    "qemu": QemuProvider,
    "ssh": ExistingMachine,
}
"""In order of preference."""


def choose(guest: Guest, workshop: Workshop, only: str | None = None) -> tuple[str, Provider]:
    """Return the first provider that can start the guest here, or `only` that one.

    Raise `NotRunError` with each one's refusal.
    """
    if only is not None and only not in PROVIDERS:
        raise UsageError(f"there is no provider {only}", hint=f"known: {', '.join(PROVIDERS)}")
    refusals = {}
    for name in PROVIDERS if only is None else [only]:
        provider = PROVIDERS[name](workshop)
        refusal = provider.refusal(guest)
        if refusal is None:
            return name, provider
        if getattr(guest, name) is not None or only is not None:
            refusals[name] = refusal
    reasons = "; ".join(f"{name}: {refusal}" for name, refusal in refusals.items())
    raise NotRunError(
        f"{guest.name} cannot be started here: {reasons or 'no provider for it'}",
        hint="`reuseport-matrix doctor` says what this machine lacks",
    )
