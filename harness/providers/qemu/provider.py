"""The `qemu` provider: a guest is a QEMU of our own, reached by SSH, and gone with its context."""

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import paramiko
from msgspec import Struct

from harness import leases
from harness.deadline import Deadline
from harness.errors import BootError, NotRunError
from harness.leases import Login, Tenancy
from harness.model import Guest, Qemu
from harness.providers.fetch import download
from harness.providers.qemu import accelerators, images
from harness.providers.qemu.command import ARCHITECTURE, CPU, PROGRAM, Parts, command_line
from harness.providers.qemu.console import Console
from harness.providers.qemu.images import Images
from harness.providers.qemu.machine import Machine, started
from harness.providers.workshop import Workshop
from harness.transport import SshTransport

logger = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"

UP = "reuseport-matrix: the network is up"
"""Said by guests/setup/init.sh. Connecting only then spares QEMU's user network the repetitions of
what it could not deliver, which come half a second late."""

GLANCE = 0.02

DOWNLOAD_SECONDS = 4 * 3600.0
"""For a disk image of gigabytes; a connection that falls silent is noticed within seconds."""

HINT = "`reuseport-matrix doctor` says what is missing, and installs it with --install"


class Boot(Struct, frozen=True):
    """One boot of one guest: what it is made of, under which lease."""

    guest: Guest
    qemu: Qemu
    made: Images
    accelerator: str
    tenancy: Tenancy
    keep: bool

    @property
    def factor(self) -> float:
        """How much longer than on a fast host things may take."""
        return accelerators.slow_factor(self.accelerator)

    def command(self, monitor: int, console: Path) -> list[str]:
        """Return QEMU's command line."""
        made, tag, system = self.made, self.tenancy.lease.tag, self.guest.system
        images = (made.kernel, made.initrd, made.disk, made.seed)
        return command_line(
            self.qemu, Parts(tag, system, self.accelerator, console, monitor, *images)
        )

    def provenance(self, version: str) -> Mapping[str, str]:
        """Return how the guest was made."""
        return {
            "provider": "qemu",
            "qemu": version,
            "accelerator": self.accelerator,
            "slow_factor": f"{self.factor:g}",
            "cpus": str(self.qemu.cpus),
            "cpu": self.qemu.cpu or CPU,
            "memory": str(self.qemu.memory),
            **self.made.provenance,
        }


class QemuProvider:
    """Boots guests that have a `qemu` section."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def refusal(self, guest: Guest) -> str | None:
        """Why this machine cannot boot the guest; None if it can."""
        if guest.qemu is None:
            return f"{guest.name} has no `qemu` section"
        if shutil.which(PROGRAM) is None:
            return f"no {PROGRAM} here"
        if guest.architecture != ARCHITECTURE:
            return f"this provider makes {ARCHITECTURE} machines, not {guest.architecture}"
        return images.refusal(guest.qemu)

    def download(self, guest: Guest) -> str | None:
        """Name the disk image to be fetched first; packages are apt's care."""
        image = None if guest.qemu is None else guest.qemu.image
        return None if image is None else download.pending(image, self._workshop.places)

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[SshTransport]:
        """Start a QEMU and yield the guest, logged in.

        With `keep` in the workshop, a guest that is left in good order stays.
        """
        reason = self.refusal(guest)
        if reason is not None or guest.qemu is None:
            raise NotRunError(f"{guest.name}: {reason}", hint=HINT)
        if guest.qemu.image is not None:
            limit = deadline.afresh(DOWNLOAD_SECONDS)
            download.fetch(guest.qemu.image, self._workshop.places, limit)
            deadline = deadline.afresh(deadline.seconds)  # a slow network is no slow boot
        with ExitStack() as stack:
            tenancy = stack.enter_context(leases.hold(self._workshop.places, guest.name))
            boot = self._prepare(guest, guest.qemu, tenancy, deadline)
            console = Console(self._workshop.consoles(guest.name))
            machine = stack.enter_context(
                started(
                    lambda monitor: boot.command(monitor, console.path),
                    tenancy,
                    console,
                    keep=boot.keep,
                )
            )
            login, transport = _log_in(boot, machine, deadline)
            stack.enter_context(closing(transport))
            yield transport
            if boot.keep:
                self._workshop.keep_guest(tenancy, login)

    def _prepare(self, guest: Guest, qemu: Qemu, tenancy: Tenancy, deadline: Deadline) -> Boot:
        places = self._workshop.places
        made = images.prepare(qemu, places, tenancy.folder, deadline)
        program = shutil.which(PROGRAM)
        assert program is not None
        accelerator = qemu.accelerator or accelerators.best(Path(program), places)
        return Boot(guest, qemu, made, accelerator, tenancy, self._workshop.keep)


def _log_in(boot: Boot, machine: Machine, deadline: Deadline) -> tuple[Login, SshTransport]:
    """Wait for the guest and log in; a `BootError` carries the console's tail."""
    limit = deadline.within(boot.qemu.boot_timeout * boot.factor)
    made, user = boot.made, boot.qemu.ssh.user
    facts: dict[str, str] = {}
    try:
        facts |= boot.provenance(machine.monitor.greet(limit, machine.death))
        port = machine.monitor.forwarded_port(limit, machine.death)
        if made.announces:
            _wait_for_network(machine, limit)
        transport = SshTransport.connect(
            ADDRESS,
            port,
            user,
            made.key,
            made.host_key,
            limit,
            facts,
            alive=machine.death,
        )
    except BootError as exc:
        raise BootError(str(exc), hint=exc.hint, console=machine.console.tail()) from exc
    shown = transport.host_key
    facts["host_key"] = whose(shown, made)
    known = f"{shown.get_name()} {shown.get_base64()}"
    return Login(ADDRESS, port, user, made.private, known), transport


def whose(shown: paramiko.PKey, made: Images) -> str:
    """Say where the host key comes from that the guest showed; later logins pin it."""
    given = made.host_key or made.offered
    if given is not None and shown.asbytes() == given.asbytes():
        return "ours"
    return "the guest's own, learnt at the first login"


def _wait_for_network(machine: Machine, deadline: Deadline) -> None:
    """Wait until our initramfs announces itself; a guest that stays silent is not connected to."""
    while UP not in machine.console.text():
        reason = machine.death()
        if reason is not None:
            raise BootError(reason)
        if deadline.passed:
            seconds = deadline.seconds
            raise BootError(
                f"the guest did not bring its network up within {seconds:.0f} s",
                hint="its console's tail says how far it came; `boot_timeout` allows more time",
            )
        time.sleep(GLANCE)
