"""One boot of one guest, from its images or from a saved state, up to the login."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import paramiko
from msgspec import Struct

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError
from harness.leases import Login, Tenancy
from harness.machine.files import identity
from harness.machine.places import Places
from harness.model import Guest
from harness.model.guest import Qemu
from harness.protocols import NO_ROOT
from harness.providers import accelerators
from harness.providers.qemu import server_disk, warm
from harness.providers.qemu import warm_disk as belongings
from harness.providers.qemu.command import CPU, Parts, command_line
from harness.providers.qemu.console import Console
from harness.providers.qemu.images import Images
from harness.providers.qemu.machine import Machine, started
from harness.providers.qemu.typed_console.typed import type_on
from harness.providers.qemu.warm import WarmState
from harness.providers.renew import change_key, renew
from harness.transport import SshTransport
from harness.transport.keys import key_text, make_key

logger = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"

TYPED = "typed"
"""The folder of the cache with disks that were typed on."""

HASHES = ("kernel_sha256", "initramfs_sha256", "disk_sha256")


class QemuBoot(Struct, frozen=True):
    """What a guest is made of, and its lease.

    `state` is where it is saved, or will be; `typed` the same for its disk after it was typed on.
    """

    guest: Guest
    qemu: Qemu
    made: Images
    accelerator: str
    tenancy: Tenancy
    keep: bool
    state: WarmState | None = None
    typed: WarmState | None = None

    @property
    def factor(self) -> float:
        """The slow-host factor: how much longer than on a fast host things may take."""
        return accelerators.slow_factor(self.accelerator)

    def command(self, monitor: int, line: int, console: Path, state: Path | None) -> list[str]:
        """Return QEMU's command line; with a `state` the guest resumes from it."""
        made = self.made
        parts = Parts(
            self.tenancy.lease.tag,
            self.guest.system,
            self.accelerator,
            console,
            monitor,
            kernel=made.kernel,
            initrd=made.initrd,
            disk=made.disk,
            seed=made.seed,
            servers=None if made.servers is None else made.servers.path,
            line=line if made.told is not None else None,
            state=state,
        )
        return command_line(self.qemu, parts)

    def keepable(self, program: Path, places: Places) -> WarmState | None:
        """Return where to save the guest; None if it cannot be saved.

        It can be if it boots from our initramfs, which waits for its login key, or from a disk.
        A guest file with `arguments` excludes it: they may name files, which could change.
        """
        made, qemu = self.made, self.qemu
        if self.qemu.arguments or (made.told is None and made.disk is None):
            return None
        # The state's name stands for everything that QEMU must find unchanged when it resumes.
        # Paths and descriptors differ from boot to boot, so `neutral` has none of them.
        hashes = [f"{name}={made.provenance[name]}" for name in HASHES if name in made.provenance]
        files = (made.initrd if made.told is None else None, made.backing)
        neutral = Parts(
            "",
            self.guest.system,
            self.accelerator,
            Path(),
            0,
            kernel=Path() if made.kernel else None,
            initrd=Path() if made.initrd else None,
            disk=Path() if made.disk else None,
            seed=Path() if made.seed else None,
            servers=Path() if made.servers else None,
            line=0 if made.told is not None else None,
        )
        machine = [identity(program), *command_line(qemu, neutral)]
        machine += [qemu.ssh.user, qemu.ssh.key or "", str(qemu.disk_size), *map(str, files)]
        machine.append(msgspec.json.encode(qemu.console).decode())
        machine += [] if made.servers is None else [made.servers.sha256]
        machine += accelerators.ties(self.accelerator)
        return warm.state_of([*hashes, *machine], places)

    def typable(self, places: Places) -> WarmState | None:
        """Return where to keep the disk after it was typed on; None if nothing is typed on it."""
        qemu, made = self.qemu, self.made
        if not qemu.console or made.disk is None:
            return None
        # What was typed, on what, and what the system found to set up.
        hashes = [f"{name}={made.provenance[name]}" for name in HASHES if name in made.provenance]
        machine = (qemu.machine, qemu.disk_interface, qemu.nic, qemu.append, *qemu.arguments)
        parts = [str(made.backing), qemu.disk_format, qemu.disk_size, *machine]
        parts += [qemu.ssh.user, qemu.ssh.key, qemu.seed, self.guest.system]
        steps = msgspec.json.encode(qemu.console).decode()
        return warm.state_of([*hashes, *map(str, parts), steps], places, TYPED)

    def provenance(self, version: str) -> Mapping[str, str]:
        """Return how the guest was made."""
        servers = self.made.servers
        return {
            "provider": "qemu",
            "qemu": version,
            "accelerator": self.accelerator,
            "slow_factor": f"{self.factor:g}",
            "cpus": str(self.qemu.cpus),
            "cpu": self.qemu.cpu or CPU,
            "memory": str(self.qemu.memory),
            **self.made.provenance,
            **(NO_ROOT if servers is None else servers.root.seen_at(server_disk.PATH)).provenance,
        }


class RunningGuest(Struct, frozen=True):
    """A guest that is up: how to log in again, and the open connection."""

    login: Login
    transport: SshTransport
    machine: Machine


def log_in(
    stack: ExitStack, boot: QemuBoot, console: Console, limit: Deadline, memory: Path | None = None
) -> RunningGuest:
    """Start a guest, wait for it, and log in; with `memory` it resumes from that file."""
    made = boot.made
    machine = stack.enter_context(
        started(
            lambda monitor, line: boot.command(monitor, line, console.path, memory),
            boot.tenancy,
            console,
            keep=boot.keep,
        )
    )
    facts: dict[str, str] = {"start": "cold" if memory is None else "warm"}
    if boot.typed is not None:
        facts["console"] = "typed" if memory is None and boot.qemu.console else "typed before"
    try:
        # QMP allows no other command before the greeting is answered.
        facts |= boot.provenance(machine.monitor.greet(limit, machine.death))
        port = machine.monitor.forwarded_port(limit, machine.death)
        if memory is not None:
            machine.monitor.go_on(limit, machine.death)
        else:
            type_on(machine, boot.qemu, made.typed, boot.factor, limit)
        # A guest from our initramfs starts its SSH server only after it has read its line.
        if made.told is not None:
            _introduce(boot, made.told, machine, limit, back=memory is not None)
        live = _connected(boot, port, machine, limit, facts)
        # Any other guest has no such line, so it is renewed over SSH.
        if made.told is None:
            _renew(boot, live, machine, limit, back=memory is not None)
    except BootError as exc:
        hint = machine.advice(boot.qemu, prints=made.kernel is not None) or exc.hint
        raise BootError(str(exc), hint=hint, console=console.tail()) from exc
    return live


def _connected(
    boot: QemuBoot, port: int, machine: Machine, limit: Deadline, facts: dict[str, str]
) -> RunningGuest:
    made, user = boot.made, boot.qemu.ssh.user
    transport = SshTransport.connect(
        ADDRESS,
        port,
        user,
        made.published or made.key,
        made.host_key,
        limit,
        facts,
        alive=machine.death,
        last_words=machine.console.tail,
    )
    if made.published is not None:
        change_key(transport, made.key, limit)
    if made.servers is not None:
        transport.server_root = server_disk.seen(transport, made.servers, limit)
    shown = transport.host_key
    facts.setdefault("host_key", whose(shown, made))
    login = Login(ADDRESS, port, user, made.private, key_text(shown))
    return RunningGuest(login, transport, machine)


def _introduce(boot: QemuBoot, told: str, machine: Machine, limit: Deadline, *, back: bool) -> None:
    """Give a guest from our initramfs its login key; save it just before, if it has a `state`."""
    if not back:
        machine.line.until_ready(limit, machine.death)
        _keep(boot, machine, limit)
    renewed = machine.line.tell(told, limit, machine.death)
    if not renewed and boot.state is not None:
        # Without new randomness every guest resumed from this state would draw the same secrets.
        boot.state.forget()
        if back:
            raise BootError("its randomness could not be renewed")


def _renew(
    boot: QemuBoot, live: RunningGuest, machine: Machine, limit: Deadline, *, back: bool
) -> None:
    """Give a resumed guest from a disk the time, randomness and a new key; save a booted one.

    A guest is saved only if renewing works, so that is tried first.
    """
    if boot.state is None:
        return
    transport = live.transport
    try:
        renew(boot.guest, transport, limit)
    except BootError as exc:
        if back:
            raise  # the guest is booted instead
        logger.info("%s is not saved for later runs: %s", boot.guest.name, exc)
        return
    if not back:
        _keep(boot, machine, limit, (live.login.host_key, transport.provenance["host_key"]))
    elif boot.qemu.ssh.key is None:
        # Every guest that is resumed from this state has the saved key, so replace it.
        renew_key(boot, transport, limit)


def renew_key(boot: QemuBoot, transport: SshTransport, limit: Deadline) -> None:
    """Make a new login key for a running guest, in the place of its former one."""
    private = Path(boot.made.private)
    private.unlink()
    change_key(transport, make_key(private), limit)


def _keep(
    boot: QemuBoot, machine: Machine, limit: Deadline, host_key: tuple[str, str] | None = None
) -> None:
    """Save the guest for later runs, if it has a `state`; it runs on even if that fails.

    `host_key`, for a guest from a disk, is the key as in known_hosts, and where it came from.
    """
    if boot.state is None:
        return
    allowed = limit.within(clocks.SAVE * boot.factor)

    def save(memory: Path) -> None:
        # The guest is stopped while this runs, so the copied disk matches the saved memory.
        def beside() -> None:
            if host_key is not None:
                belongings.keep(boot.made, boot.tenancy.folder, *host_key, memory.parent)

        machine.monitor.save(memory, allowed, machine.death, beside)

    try:
        boot.state.keep(machine.console.raw(), save)
    except (BootError, OSError) as exc:
        logger.info("%s cannot be saved for later runs: %s", boot.guest.name, exc)


def whose(shown: paramiko.PKey, made: Images) -> str:
    """Return the origin of the host key that the guest showed; later logins pin this key."""
    given = made.offered if made.host_key is None else (made.host_key,)
    if shown.asbytes() in [key.asbytes() for key in given]:
        return "ours"
    return "the guest's own, learnt at the first login"
