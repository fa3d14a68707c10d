"""Saves and restores guests by a snapshot of their first login, for parking between runs.

Between two runs such a guest is powered off and its lease parked (harness/leases/parking.py).
"""

import hashlib
import logging
from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness import clocks
from harness.deadline import Deadline
from harness.errors import InfrastructureError
from harness.leases import Login, Tenancy
from harness.machine.files import identity
from harness.machine.resources import vagrant_folder
from harness.providers import accelerators
from harness.providers.renew import change_key, renew
from harness.providers.vagrant import libvirt
from harness.providers.vagrant.machine import Making, VagrantMachine
from harness.transport.keys import make_key

logger = logging.getLogger(__name__)

SNAPSHOT = "first-login"

SHAPE = "1"
"""Change this when guests are saved at a different point."""


def key_of(making: Making) -> str | None:
    """Return a hash of all that must be the same to resume; None if the box is not installed."""
    guest, version = making.guest, making.version
    if version is None:
        return None
    parts: list[object] = [SHAPE, guest.name, guest.system, guest.architecture, guest.vagrant]
    parts += [making.provider, making.accelerator, making.installed, version]
    parts.append((vagrant_folder() / "Vagrantfile").read_text("utf-8"))
    # A snapshot with memory can be restored only by the QEMU, on the CPU, that saved it.
    qemu = accelerators.program_for(guest.architecture)
    if qemu is not None:
        parts.append(identity(qemu))
    if making.provider == "libvirt":
        parts.append(libvirt.uri())
    parts += accelerators.ties(making.accelerator)
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def save(making: Making, machine: VagrantMachine, deadline: Deadline) -> Login | None:
    """Save a guest that has just come up; return how to log in, None if it cannot be saved."""
    limit = deadline.within(clocks.SAVE * making.factor)
    try:
        renew(making.guest, machine.transport, limit)
        machine.save(SNAPSHOT, limit)
    except InfrastructureError as exc:
        if deadline.passed:
            raise
        logger.info("%s is not parked for later runs: %s", making.guest.name, exc)
        return None
    return machine.login


def bring_back(
    making: Making, machine: VagrantMachine, tenancy: Tenancy, deadline: Deadline
) -> None:
    """Restore a guest and renew its clock and randomness; replace its login key if we made it.

    A key of the user or of the box stays, as `vagrant up` does not replace it either.
    """
    limit = deadline.within(clocks.VAGRANT_RESTORE * making.factor)
    machine.login = tenancy.lease.login
    machine.restore(SNAPSHOT, limit)
    renew(making.guest, machine.transport, limit)
    assert machine.login is not None
    if Path(machine.login.key).is_relative_to(tenancy.folder):
        fresh = tenancy.folder / "key"
        fresh.unlink(missing_ok=True)
        change_key(machine.transport, make_key(fresh), limit)
        machine.login = replace(machine.login, key=str(fresh))
