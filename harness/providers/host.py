"""Provider `host`: this machine's own kernel; it boots nothing and removes nothing."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError, InfrastructureError, NotRunError
from harness.model import Guest
from harness.protocols import NO_ROOT, ServerRoot
from harness.providers.packages import roots
from harness.providers.workshop import Workshop
from harness.transport import LocalTransport

ISOLATIONS: Mapping[str, Sequence[str]] = {
    "network namespace": ("unshare", "--net"),
    "network and user namespace": ("unshare", "--net", "--map-root-user"),
}
"""Isolation to the prefix that gives it (unshare(1)), best first. Every command gets fresh
namespaces, with the loopback interface down. An ordinary user can create a network namespace only
as root of a user namespace (user_namespaces(7))."""

NOT_ISOLATED = "none"


class ThisMachine:
    """The kernel that the harness runs on."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def refusal(self, guest: Guest) -> str | None:
        """Return why this machine's kernel is not the one that the guest file wants, or None."""
        if guest.host is None:
            return "its guest file has no `host` section"
        system, release = platform.system(), platform.release()
        wanted = (guest.host.system or system, guest.host.release or "")
        if wanted[0] == system and release.startswith(wanted[1]):
            return None
        return f"this machine is {system} {release}, not {' '.join(wanted).strip()}"

    def download(self, guest: Guest) -> str | None:
        """Return None: nothing needs to be fetched."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[LocalTransport]:
        """Yield this machine; end the commands that still run for us when the block ends."""
        reason = self.refusal(guest)
        if reason is not None or guest.host is None:
            raise NotRunError(f"{guest.name}: {reason}")
        if deadline.passed:  # else `isolated` would find nothing that works in time
            raise BootError("no time is left to start on this machine")
        isolation = isolated(deadline) if guest.host.isolate else NOT_ISOLATED
        root = self._servers(deadline)
        made = {**_provenance(isolation), **root.provenance}
        with self._workshop.lease(guest) as tenancy:
            # The agent is in the lease's folder, which is removed however the run ends.
            prefix, folders = ISOLATIONS.get(isolation, ()), (str(tenancy.folder),)
            with closing(LocalTransport(prefix, made, folders)) as transport:
                transport.server_root = root
                yield transport

    def _servers(self, deadline: Deadline) -> ServerRoot:
        """Unpack the packages of the servers, if the run asks for any; nothing is installed."""
        packages, places = self._workshop.packages, self._workshop.places
        if not packages or platform.system() != "Linux":
            return NO_ROOT
        root = roots.prepare(packages, roots.SUITES, places, deadline)
        return root.seen_at(root.folder)


def isolated(deadline: Deadline) -> str:
    """Try each isolation and return the best that works: containers forbid some."""
    for name, prefix in ISOLATIONS.items():
        try:
            timeout = deadline.within(clocks.ISOLATION).left()
            if LocalTransport(prefix).run(["true"], timeout=timeout).status == 0:
                return name
        except InfrastructureError:  # no unshare(1) (macOS, BSD), or it hangs
            continue
    return NOT_ISOLATED


def _provenance(isolation: str) -> Mapping[str, str]:
    """Return how this guest was made; the agent brings up the loopback of a fresh namespace."""
    return {
        "provider": "host",
        "accelerator": "none",
        "cpus": str(os.cpu_count() or 1),
        "isolation": isolation,
        "loopback": "as-is" if isolation == NOT_ISOLATED else "up",
        "slow_factor": "1",
    }
