"""The `gvisor` provider: each guest is a sandbox with its own network stack and loopback."""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError, NotRunError
from harness.leases import Tenancy
from harness.model import Guest
from harness.model.guest import Gvisor
from harness.providers.gvisor import program, sandbox
from harness.providers.gvisor.program import Runsc
from harness.providers.gvisor.sandbox import NotStartedError, Sandbox
from harness.providers.workshop import Workshop
from harness.transport import LocalTransport

PLATFORMS = ("systrap", "ptrace", "kvm")
"""How gVisor gets at system calls, in the order in which they are tried. `kvm` is last because it
hangs where the hardware does not work."""

HINT = (
    "containers often forbid what a sandbox needs: allow ptrace and new namespaces "
    "(docs/guests.md, `gvisor`)"
)


class GvisorProvider:
    """Makes sandboxes for guests that have a `gvisor` section."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def refusal(self, guest: Guest) -> str | None:
        """Return why this machine cannot make the guest; None if it can, as far as is known."""
        if guest.gvisor is None:
            return f"{guest.name} has no `gvisor` section"
        if platform.system() != "Linux":
            return f"gVisor runs on Linux; this machine is {platform.system()}"
        return program.refusal(guest.gvisor)

    def download(self, guest: Guest) -> str | None:
        """Return None: apt fetches the package in `boot`."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[LocalTransport]:
        """Start a sandbox and yield it; it ends with the block, also with `keep`."""
        reason = self.refusal(guest)
        if reason is not None or guest.gvisor is None:
            raise NotRunError(f"{guest.name}: {reason}", hint=program.HINT)
        if deadline.passed:
            raise BootError("no time is left to start a sandbox")
        runsc = program.choose(guest.gvisor, self._workshop.places, deadline)
        log = self._workshop.consoles(guest.label)
        log.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            tenancy = stack.enter_context(self._workshop.lease(guest))
            name, live = _started(guest.gvisor, runsc, tenancy, log, deadline, stack)
            made = _provenance(guest, runsc, name)
            yield stack.enter_context(closing(LocalTransport(live.prefix, made)))


def _started(
    wanted: Gvisor,
    runsc: Runsc,
    tenancy: Tenancy,
    log: Path,
    deadline: Deadline,
    stack: ExitStack,
) -> tuple[str, Sandbox]:
    """Try each platform; return the first on which a process runs, and the sandbox."""
    reasons = []
    for name in PLATFORMS if wanted.platform is None else (wanted.platform,):
        limit = deadline.within(clocks.SANDBOX)
        try:
            return name, stack.enter_context(sandbox.started(runsc, name, tenancy, log, limit))
        except NotStartedError as exc:
            if deadline.passed:
                raise BootError(f"the sandbox did not start in time ({name}: {exc})") from exc
            reasons.append(f"{name}: {exc}")
    said = "; ".join(reasons)
    raise NotRunError(f"runsc {runsc.release} cannot make a sandbox here: {said}", hint=HINT)


def _provenance(guest: Guest, runsc: Runsc, name: str) -> Mapping[str, str]:
    """Return how the sandbox was made.

    `system` and `release` are the kernel's real ones: its own `uname` says Linux 4.4.0.
    """
    return {
        "provider": "gvisor",
        "accelerator": name,
        "cpus": str(os.cpu_count() or 1),
        "slow_factor": "1",
        "system": guest.system,
        "release": runsc.release,
        "rootless": "no" if os.geteuid() == 0 else "yes",
        **runsc.origin,
    }
