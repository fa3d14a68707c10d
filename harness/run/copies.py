"""Copies of a guest, each of which is asked a part of its cells: they must be the same guest."""

import threading
from collections.abc import Mapping

from harness.errors import CopyDiffersError, Phase
from harness.store import GuestMet

MADE = ("provider", "accelerator", "cpus")
"""What of a guest's provenance must be the same, besides each sha256 (image, kernel, agent)."""

KERNEL = ("release", "version", "machine")
"""What of its facts must be the same."""


class Kin:
    """What each copy of a guest must be: the first one that comes up, or `known`, says it."""

    def __init__(self, known: GuestMet | None = None) -> None:
        self._lock = threading.Lock()
        self._identity = None if known is None else identity(known)

    def check(self, met: GuestMet) -> None:
        """Raise `CopyDiffersError` if this copy is another kernel, image or agent."""
        found = identity(met)
        with self._lock:
            if self._identity is None:
                self._identity = found
            known = self._identity
        names = sorted(one for one in {*known, *found} if known.get(one) != found.get(one))
        if names:
            others = ", ".join(
                f"{one} {_short(found.get(one))} instead of {_short(known.get(one))}"
                for one in names
            )
            hint = "the copies of one guest need the same image, kernel, agent and accelerator"
            raise CopyDiffersError(Phase.FACTS, f"this copy is another guest: {others}", hint=hint)


def identity(met: GuestMet) -> Mapping[str, str]:
    """Return what tells whether two copies are the same guest."""
    made = {
        name: value
        for name, value in met.provenance.items()
        if name in MADE or name.endswith("sha256")
    }
    return made | {name: str(met.facts[name]) for name in KERNEL if name in met.facts}


SHOWN = 40
"""Characters of a value that a message shows."""


def _short(value: str | None) -> str:
    return "nothing" if value is None else value[:SHOWN]
