"""One boot of one Vagrant guest: from its box, or from where it was parked, to the login."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from harness import clocks
from harness.deadline import Deadline
from harness.errors import InfrastructureError
from harness.leases import NAME_VARIABLE, Login, Tenancy, Undo
from harness.machine.places import NAME
from harness.machine.resources import vagrant_folder
from harness.model import Guest
from harness.providers.vagrant import boxes, warm
from harness.providers.vagrant.domain import Domain
from harness.providers.vagrant.libvirt import Ground
from harness.providers.vagrant.machine import Making, VagrantMachine
from harness.providers.vagrant.plugins import PROGRAM
from harness.providers.workshop import Workshop

if TYPE_CHECKING:
    from harness.providers.vagrant.commands import CommandPlace

logger = logging.getLogger(__name__)


class _RunningMachine(Struct, frozen=True):
    """A guest that is up, and its lease.

    `saved` is how to log in after a restore of its snapshot; `key` is what it is parked under.
    """

    tenancy: Tenancy
    machine: VagrantMachine
    key: str | None
    saved: Login | None


class VagrantBoot(Struct, frozen=True):
    """A guest to bring up, the run's settings, and the deadline."""

    workshop: Workshop
    making: Making
    deadline: Deadline

    @contextmanager
    def up(self) -> Iterator[VagrantMachine]:
        """Bring the guest up for the block; then keep, park or destroy it."""
        with ExitStack() as stack:
            live = self._back(stack) or self._anew(stack)
            yield live.machine
            if self.workshop.keep and live.machine.login is not None:
                self.workshop.keep_guest(live.tenancy, live.machine.login)
            elif live.key and live.saved and not self.deadline.cancelled:
                self._park(live, live.key, live.saved)

    def _back(self, stack: ExitStack) -> _RunningMachine | None:
        """Resume a parked guest; None if none is parked, or resuming it failed."""
        key = None if self.workshop.cold else warm.key_of(self.making)
        if key is None:
            return None
        with ExitStack() as attempt:
            tenancy = attempt.enter_context(self.workshop.taken(key))
            if tenancy is None or tenancy.lease.login is None:
                return None
            try:
                machine = self._machine(attempt, tenancy, "warm")
                warm.bring_back(self.making, machine, tenancy, self.deadline)
            except (InfrastructureError, OSError) as exc:
                if self.deadline.passed:
                    raise  # no time is left for a boot
                name = self.making.guest.name
                logger.warning("%s: booting it: its parked guest failed: %s", name, exc)
                return None
            # Only now does the caller's stack own the guest; a failed attempt ended it above.
            stack.enter_context(attempt.pop_all())
            return _RunningMachine(tenancy, machine, key, tenancy.lease.login)

    def _anew(self, stack: ExitStack) -> _RunningMachine:
        """Make the guest; save it after its first login, if it may be parked later."""
        tenancy = stack.enter_context(self.workshop.lease(self.making.guest))
        machine = self._machine(stack, tenancy, "cold")
        ends = tenancy.lease.undo
        # If we are killed while Vagrant copies the box, its half-made image must go as well.
        with machine.box_ready(self.deadline) as forget:
            tenancy.undone_by(*ends, *forget)
            machine.up(self.deadline)
        tenancy.undone_by(*ends)
        machine.connect(self.deadline)
        once = self.workshop.cold or self.workshop.keep
        saved = None if once else warm.save(self.making, machine, self.deadline)
        return _RunningMachine(tenancy, machine, warm.key_of(self.making), saved)

    def _park(self, live: _RunningMachine, key: str, login: Login) -> None:
        """Power the guest off and leave it to a later run; if that fails, it is destroyed."""
        try:
            live.machine.power_off(self.deadline.afresh(clocks.VAGRANT_OFF))
            live.tenancy.park(key, login)
        except (InfrastructureError, OSError) as exc:
            logger.info("%s is not parked for later runs: %s", self.making.guest.name, exc)

    def _machine(self, stack: ExitStack, tenancy: Tenancy, start: str) -> VagrantMachine:
        """Return the guest, which need not exist yet; record first how to destroy it."""
        place = self._place(tenancy)
        machine: VagrantMachine
        if self.making.provider == "libvirt":
            machine = self._domain(stack, tenancy, place, start)
        else:
            tenancy.undone_by(_destruction(place))
            machine = VagrantMachine(self.making, place, start)
        return stack.enter_context(closing(machine))

    def _domain(
        self, stack: ExitStack, tenancy: Tenancy, place: "CommandPlace", start: str
    ) -> Domain:
        """Return a libvirt guest on our network; record how to remove what Vagrant may leave."""
        ground = Ground(self.workshop.places)
        name = f"{_prefix(tenancy)}{place.name}"
        # Record the undo before anything exists: `ground.used` may already make the network.
        off, *rests = ground.undo(name)
        tenancy.undone_by(off, *rests)
        subnet = stack.enter_context(ground.used(self.deadline))
        network = {"REUSEPORT_MATRIX_NETWORK": f"{ground.network}={subnet}"}
        place = replace(place, environment={**place.environment, **network})
        destroy = replace(_destruction(place), decisive=False)  # the commands after it decide
        tenancy.undone_by(off, destroy, *rests)
        return Domain(self.making, place, start, name=name, ground=ground, subnet=subnet)

    def _place(self, tenancy: Tenancy) -> "CommandPlace":
        from harness.providers.vagrant.commands import CommandPlace

        guest = self.making.guest
        # A copy: the lease may outlive the installation that wrote it.
        shutil.copyfile(vagrant_folder() / "Vagrantfile", tenancy.folder / "Vagrantfile")
        environment = {
            "VAGRANT_CWD": str(tenancy.folder),
            "VAGRANT_DOTFILE_PATH": str(tenancy.folder / "vagrant"),
            "VAGRANT_HOME": str(boxes.home()),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            NAME_VARIABLE: tenancy.lease.tag,
            "REUSEPORT_MATRIX_GUESTS": str(_written(guest, tenancy.folder / "guests")),
            "REUSEPORT_MATRIX_PREFIX": _prefix(tenancy),
            "REUSEPORT_MATRIX_ACCELERATOR": self.making.accelerator,
        }
        console = self.workshop.consoles(guest.label)
        console.parent.mkdir(parents=True, exist_ok=True)
        return CommandPlace(guest.name, self.making.box, environment, console, tenancy.runs)


def _prefix(tenancy: Tenancy) -> str:
    """Return the prefix of a machine's name, unique to its lease."""
    return f"{NAME}-{tenancy.lease.id[:16]}-"


def _destruction(place: "CommandPlace") -> Undo:
    """Return the command that destroys the guest; it also succeeds if the guest does not exist."""
    return Undo((PROGRAM, "destroy", "-f", place.name), clocks.VAGRANT_DESTROY, place.environment)


def _written(guest: Guest, folder: Path) -> Path:
    """Write a guest file for the Vagrantfile, and return its folder.

    A copy, because the source may change or disappear before the guest does. JSON is also YAML.
    """
    folder.mkdir(exist_ok=True)
    content = {
        "name": guest.name,
        "system": guest.system,
        "architecture": guest.architecture,
        "vagrant": guest.vagrant,
    }
    (folder / "guest.yaml").write_bytes(msgspec.json.encode(content))
    return folder
