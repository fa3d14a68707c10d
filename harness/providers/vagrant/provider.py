"""The `vagrant` provider: a guest from a box, through the Vagrantfile, gone with its context."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.deadline import Deadline
from harness.errors import NotRunError
from harness.leases import Tenancy, Undo
from harness.model import Box, Guest
from harness.places import NAME
from harness.providers.qemu import accelerators
from harness.providers.vagrant import boxes, plugins
from harness.providers.vagrant.libvirt import Ground
from harness.providers.vagrant.machine import Making, VagrantMachine
from harness.providers.vagrant.plugins import PROGRAM
from harness.providers.workshop import Workshop
from harness.resources import vagrant_folder
from harness.transport import SshTransport

if TYPE_CHECKING:
    from harness.providers.vagrant.commands import Place

logger = logging.getLogger(__name__)

MARGIN_SECONDS = 120.0
"""What `vagrant up` may take besides the guest's own boot, on a fast host."""

DESTROY_SECONDS = 120.0

EMULATING = ("libvirt", "qemu")
"""Vagrant's providers that are QEMU, and may run a guest without hardware acceleration."""

HINT = "`reuseport-matrix doctor` says what is missing; `--install --with vagrant` installs it"


class VagrantProvider:
    """Boots guests that have a `vagrant` section."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def refusal(self, guest: Guest) -> str | None:
        """Why no provider of Vagrant's can start the guest here; None if one can."""
        if guest.vagrant is None:
            return f"{guest.name} has no `vagrant` section"
        if shutil.which(PROGRAM) is None:
            return "no vagrant here: `reuseport-matrix doctor --install --with vagrant`"
        refusals = self._refusals(guest)
        if None in refusals.values():
            return None
        first, *others = refusals
        told = f"; nor by {', '.join(others)}" if others else ""
        return f"{first}: {refusals[first]}{told}"

    def download(self, guest: Guest) -> str | None:
        """Name the box that is not here yet."""
        provider = self._chosen(guest)
        assert guest.vagrant is not None
        box = guest.vagrant.boxes[provider]
        if boxes.version_here(box, provider) is not None:
            return None
        words = ["the box", box.box, box.version, f"for {provider}"]
        words.append("(its address is unchecked)" if box.unchecked else None)
        return " ".join(word for word in words if word)

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[SshTransport]:
        """Bring the guest up and yield it, logged in.

        With `keep` in the workshop, a guest that is left in good order stays.
        """
        with self.started(guest, deadline) as machine:
            yield machine.transport

    @contextmanager
    def started(self, guest: Guest, deadline: Deadline) -> Iterator[VagrantMachine]:
        """Bring the guest up and yield it as what can also be saved, restored and halted."""
        reason = self.refusal(guest)
        if reason is not None:
            raise NotRunError(f"{guest.name}: {reason}", hint=HINT)
        making = self._making(guest)
        with ExitStack() as stack:
            tenancy = stack.enter_context(self._workshop.lease(guest))
            place = self._place(making, tenancy)
            if making.provider == "libvirt":
                place = self._on_libvirt(stack, making, tenancy, place, deadline)
            else:
                tenancy.undone_by(destruction(place))
                self._up(making, place, deadline)
            machine = VagrantMachine(making, place, making.provenance(_version(making)))
            stack.enter_context(closing(machine))
            machine.connect(deadline)
            yield machine
            if self._workshop.keep and machine.login is not None:
                self._workshop.keep_guest(tenancy, machine.login)

    def _refusals(self, guest: Guest) -> Mapping[str, str | None]:
        assert guest.vagrant is not None
        places = self._workshop.places
        return {
            provider: plugins.refusal(guest, provider, places) for provider in guest.vagrant.boxes
        }

    def _chosen(self, guest: Guest) -> str:
        """Return the first of the guest's providers that works here."""
        refusals = self._refusals(guest)
        return next(provider for provider, refusal in refusals.items() if refusal is None)

    def _making(self, guest: Guest) -> Making:
        places, provider = self._workshop.places, self._chosen(guest)
        accelerator, factor = provider, 1.0
        if provider in EMULATING:
            accelerator = self._accelerator(guest)
            factor = accelerators.slow_factor(accelerator)
        return Making(guest, provider, plugins.installed(places), accelerator, factor)

    def _accelerator(self, guest: Guest) -> str:
        assert guest.vagrant is not None
        if guest.vagrant.accelerator is not None:
            return guest.vagrant.accelerator
        program = shutil.which(f"qemu-system-{guest.architecture}")
        if program is None:  # one that cannot be tried is not trusted
            return accelerators.TCG
        return accelerators.best(Path(program), self._workshop.places)

    def _place(self, making: Making, tenancy: Tenancy) -> "Place":
        from harness.providers.vagrant.commands import Place

        guest = making.guest
        assert guest.vagrant is not None
        environment = {
            "VAGRANT_CWD": str(vagrant_folder()),
            "VAGRANT_DOTFILE_PATH": str(tenancy.folder / "vagrant"),
            "VAGRANT_HOME": str(boxes.home()),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            "REUSEPORT_MATRIX_GUESTS": str(_written(guest, tenancy.folder / "guests")),
            "REUSEPORT_MATRIX_PREFIX": prefix(tenancy),
            "REUSEPORT_MATRIX_ACCELERATOR": making.accelerator,
        }
        console = self._workshop.consoles(guest.name)
        console.parent.mkdir(parents=True, exist_ok=True)
        box = guest.vagrant.boxes[making.provider]
        return Place(guest.name, box, environment, console, tenancy.runs)

    def _on_libvirt(
        self,
        stack: ExitStack,
        making: Making,
        tenancy: Tenancy,
        place: "Place",
        deadline: Deadline,
    ) -> "Place":
        """Bring it up on a network of ours; what Vagrant may leave behind is noted before."""
        ground = Ground(self._workshop.places)
        rests = ground.undo(f"{prefix(tenancy)}{making.guest.name}")
        tenancy.undone_by(*rests)
        address = stack.enter_context(ground.used(deadline))
        network = {"REUSEPORT_MATRIX_NETWORK": f"{ground.network}={address}"}
        place = msgspec.structs.replace(place, environment={**place.environment, **network})
        destroy = msgspec.structs.replace(destruction(place), decisive=False)  # the rests tell
        with ground.box_ready(place.box, _version(making), deadline) as forget:
            tenancy.undone_by(destroy, *rests, *([forget] if forget is not None else []))
            self._up(making, place, deadline)
        tenancy.undone_by(destroy, *rests)
        return place

    def _up(self, making: Making, place: "Place", deadline: Deadline) -> None:
        from harness.providers.vagrant.commands import Commands

        vagrant = making.guest.vagrant
        assert vagrant is not None
        limit = deadline
        if _version(making) is not None:
            limit = deadline.within((vagrant.boot_timeout + MARGIN_SECONDS) * making.factor)
        else:
            logger.info("%s: Vagrant fetches %s", making.guest.name, place.box.box)
        Commands(place, limit).start(making.provider)


def prefix(tenancy: Tenancy) -> str:
    """Return what a machine's name begins with, as no other lease's does."""
    return f"{NAME}-{tenancy.lease.id[:16]}-"


def destruction(place: "Place") -> Undo:
    """Return the command that destroys the guest, and succeeds also if there is none."""
    return Undo((PROGRAM, "destroy", "-f", place.name), DESTROY_SECONDS, place.environment)


def _version(making: Making) -> str | None:
    """Return the version of the box that is here."""
    assert making.guest.vagrant is not None
    box: Box = making.guest.vagrant.boxes[making.provider]
    return boxes.version_here(box, making.provider)


def _written(guest: Guest, folder: Path) -> Path:
    """Write the guest's own file, for the Vagrantfile: its source may change or go before it does.

    JSON is YAML. Return the folder.
    """
    folder.mkdir()
    content = {
        "name": guest.name,
        "system": guest.system,
        "architecture": guest.architecture,
        "vagrant": guest.vagrant,
    }
    (folder / "guest.yaml").write_bytes(msgspec.json.encode(content))
    return folder
