"""Provider `host`: this machine's own kernel, nothing booted and nothing to take away."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError, InfrastructureError, NotRunError
from harness.model import Guest
from harness.providers.workshop import Workshop
from harness.transport import LocalTransport

ISOLATIONS: Mapping[str, Sequence[str]] = {
    "network namespace": ("unshare", "--net"),
    "network and user namespace": ("unshare", "--net", "--map-root-user"),
}
"""Best first (unshare(1)); every command gets fresh ones, with the loopback interface down. A plain
user gets a network namespace only as root of a user namespace (user_namespaces(7))."""

NOT_ISOLATED = "none"


class ThisMachine:
    """The kernel that the harness runs on."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def refusal(self, guest: Guest) -> str | None:
        """Any machine is a host, unless the guest file wants another kernel than this one."""
        if guest.host is None:
            return "its file does not say `host`"
        system, release = platform.system(), platform.release()
        wanted = (guest.host.system or system, guest.host.release or "")
        if wanted[0] == system and release.startswith(wanted[1]):
            return None
        return f"this machine is {system} {release}, not {' '.join(wanted).strip()}"

    def download(self, guest: Guest) -> str | None:
        """Nothing: the machine is here."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[LocalTransport]:
        """Yield this machine; what still runs on it for us at the end is ended."""
        reason = self.refusal(guest)
        if reason is not None or guest.host is None:
            raise NotRunError(f"{guest.name}: {reason}")
        if deadline.passed:  # or isolation would be given up for want of time
            raise BootError("no time is left to begin with this machine")
        isolation = isolated(deadline) if guest.host.isolate else NOT_ISOLATED
        with self._workshop.lease(guest) as tenancy:
            # The agent lives in the lease's folder, and goes with it however the run ends.
            prefix, folders = ISOLATIONS.get(isolation, ()), (str(tenancy.folder),)
            with closing(LocalTransport(prefix, _provenance(isolation), folders)) as transport:
                yield transport


def isolated(deadline: Deadline) -> str:
    """Return the best isolation that works here, found by trying: containers forbid much."""
    for name, prefix in ISOLATIONS.items():
        try:
            timeout = deadline.within(clocks.ISOLATION).left()
            if LocalTransport(prefix).run(["true"], timeout=timeout).status == 0:
                return name
        except InfrastructureError:  # no unshare (macOS, BSD), or one that hangs
            continue
    return NOT_ISOLATED


def _provenance(isolation: str) -> Mapping[str, str]:
    """Say how this guest came to be; the agent raises the loopback of a fresh namespace."""
    return {
        "provider": "host",
        "accelerator": "none",
        "cpus": str(os.cpu_count() or 1),
        "isolation": isolation,
        "loopback": "as-is" if isolation == NOT_ISOLATED else "up",
        "slow_factor": "1",
    }
