"""The `qemu` provider: each guest is a QEMU process, reached by SSH; it ends with its context."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from harness import clocks
from harness.deadline import Deadline
from harness.errors import NotRunError
from harness.leases import Tenancy
from harness.machine import capacity, loopback
from harness.model import Guest
from harness.model.guest import Qemu
from harness.providers import accelerators
from harness.providers.fetch import download
from harness.providers.qemu import images
from harness.providers.qemu.boot import QemuBoot
from harness.providers.qemu.command import ARCHITECTURE, PROGRAM
from harness.providers.qemu.start import up
from harness.providers.workshop import Workshop
from harness.transport import SshTransport

logger = logging.getLogger(__name__)

TOOLS = {
    PROGRAM: "boots Linux guests and disk images",
    "qemu-img": "keeps disk images unchanged",
    "setpriv": "ends a guest together with the run that started it (Linux)",
    "apt-get": "finds and verifies kernels in Debian's archive",
    "dpkg-deb": "unpacks them",
    "mke2fs": "makes the disk with the servers of a run, for Linux guests",
}
"""Command to its purpose."""

HINT = "`reuseport-matrix doctor` lists what is missing; `--install` installs it"


class QemuProvider:
    """Boots guests that have a `qemu` section."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def refusal(self, guest: Guest) -> str | None:
        """Return why this machine cannot boot the guest; None if it can."""
        if guest.qemu is None:
            return f"{guest.name} has no `qemu` section"
        if shutil.which(PROGRAM) is None:
            return f"{PROGRAM} not found"
        if guest.architecture != ARCHITECTURE:
            return f"this provider emulates {ARCHITECTURE}, not {guest.architecture}"
        reason = images.refusal(guest.qemu, servers=bool(self._workshop.packages))
        return reason or loopback.failure()

    def download(self, guest: Guest) -> str | None:
        """Return the disk image to download first, or None; apt fetches packages in `boot`."""
        image = None if guest.qemu is None else guest.qemu.image
        return None if image is None else download.pending(image, self._workshop.places)

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[SshTransport]:
        """Start QEMU and yield the connection to the guest.

        With `keep` in the workshop, the guest stays up if the block ends without an exception.
        """
        reason = self.refusal(guest)
        if reason is not None or guest.qemu is None:
            hint = loopback.REMEDY if reason is not None and "loopback" in reason else HINT
            raise NotRunError(f"{guest.name}: {reason}", hint=hint)
        if guest.qemu.image is not None:
            limit = deadline.afresh(clocks.DOWNLOAD)
            download.fetch(guest.qemu.image, self._workshop.places, limit)
            deadline = deadline.afresh(deadline.seconds)  # the download is not boot time
        with ExitStack() as stack:
            tenancy = stack.enter_context(self._workshop.lease(guest))
            boot = self._prepare(guest, guest.qemu, tenancy, deadline)
            live = stack.enter_context(up(boot, self._workshop.consoles(guest.label), deadline))
            stack.enter_context(closing(live.transport))
            yield live.transport
            if boot.keep:
                self._workshop.keep_guest(tenancy, live.login)

    def _prepare(self, guest: Guest, qemu: Qemu, tenancy: Tenancy, deadline: Deadline) -> QemuBoot:
        places, servers = self._workshop.places, self._workshop.packages
        made = images.prepare(qemu, places, tenancy.folder, deadline, guest.system, servers=servers)
        if made.servers is not None:
            qemu = replace(qemu, memory=max(qemu.memory, capacity.SERVERS))
        program = shutil.which(PROGRAM)
        assert program is not None
        accelerator = qemu.accelerator or accelerators.best(Path(program), places)
        boot = QemuBoot(guest, qemu, made, accelerator, tenancy, self._workshop.keep)
        boot = replace(boot, typed=boot.typable(places))
        if self._workshop.cold:
            return boot
        return replace(boot, state=boot.keepable(Path(program), places))
