"""One boot of one guest, from its images or from a saved state, up to the login."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import paramiko
from msgspec import Struct
from msgspec.structs import replace

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError
from harness.leases import Login, Tenancy
from harness.machine.files import identity
from harness.machine.places import Places
from harness.model import Guest
from harness.model.guest import Qemu
from harness.providers import accelerators
from harness.providers.qemu import warm
from harness.providers.qemu import warm_disk as belongings
from harness.providers.qemu.command import CPU, Parts, command_line
from harness.providers.qemu.console import Console
from harness.providers.qemu.images import Images
from harness.providers.qemu.machine import Machine, started
from harness.providers.qemu.typed import type_on
from harness.providers.qemu.warm import WarmState
from harness.providers.renew import change_key, renew
from harness.transport import SshTransport
from harness.transport.keys import key_text, make_key

logger = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"

HASHES = ("kernel_sha256", "initramfs_sha256", "disk_sha256")


class QemuBoot(Struct, frozen=True):
    """What a guest is made of, and its lease; `state` is where it is saved, or will be."""

    guest: Guest
    qemu: Qemu
    made: Images
    accelerator: str
    tenancy: Tenancy
    keep: bool
    state: WarmState | None = None

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
            line=0 if made.told is not None else None,
        )
        machine = [identity(program), *command_line(qemu, neutral)]
        machine += [qemu.ssh.user, qemu.ssh.key or "", str(qemu.disk_size), *map(str, files)]
        machine.append(msgspec.json.encode(qemu.console).decode())
        machine += accelerators.ties(self.accelerator)
        return warm.state_of([*hashes, *machine], places)

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


class RunningGuest(Struct, frozen=True):
    """A guest that is up: how to log in again, and the open connection."""

    login: Login
    transport: SshTransport


@contextmanager
def up(boot: QemuBoot, console: Path, deadline: Deadline) -> Iterator[RunningGuest]:
    """Bring a guest up for the block. A `BootError` carries the end of the console's text."""
    with ExitStack() as stack:
        live = _back(stack, boot, console, deadline)
        yield live or _log_in(stack, boot, Console(console), _limit(boot, deadline))


def _limit(boot: QemuBoot, deadline: Deadline) -> Deadline:
    return deadline.within(boot.qemu.boot_seconds * boot.factor)


def _back(stack: ExitStack, boot: QemuBoot, path: Path, deadline: Deadline) -> RunningGuest | None:
    """Resume a guest from its saved state; None if it has none, or resuming failed."""
    state = boot.state
    if state is None or not state.take():
        return None
    limit = deadline.within(clocks.QEMU_RESTORE * boot.factor)
    with ExitStack() as attempt:
        try:
            state.replay(path)
            made = boot.made
            if made.disk is not None:
                made = belongings.bring_back(made, boot.tenancy.folder, state.folder)
            again = replace(boot, made=made)
            live = _log_in(attempt, again, Console(path), limit, state.memory)
        except (BootError, OSError) as exc:
            if deadline.passed:
                raise  # no time is left for a boot
            logger.warning("%s: booting it: its saved state failed: %s", boot.guest.name, exc)
            state.forget()
            return None
        # Only now does the caller's stack own the guest; a failed attempt ended it above.
        stack.enter_context(attempt.pop_all())
        return live


def _log_in(
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
    shown = transport.host_key
    facts.setdefault("host_key", whose(shown, made))
    return RunningGuest(Login(ADDRESS, port, user, made.private, key_text(shown)), transport)


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
    transport, private = live.transport, Path(boot.made.private)
    try:
        renew(boot.guest, transport, limit)
    except BootError as exc:
        if back:
            raise  # `_back` boots the guest instead
        logger.info("%s is not saved for later runs: %s", boot.guest.name, exc)
        return
    if not back:
        _keep(boot, machine, limit, (live.login.host_key, transport.provenance["host_key"]))
    elif boot.qemu.ssh.key is None:
        # Every guest that is resumed from this state has the saved key, so replace it.
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
