"""Brings a guest up the quickest way: its saved state, the disk that was typed on, or a new boot.

A console is typed on once: after that the guest is kept warm. Where it cannot be, or each boot must
be a real one (`--cold`), it is switched off, and the disk that it leaves is kept and booted.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec.structs import replace

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError
from harness.providers.qemu import warm_disk as belongings
from harness.providers.qemu.boot import QemuBoot, RunningGuest, log_in, renew_key
from harness.providers.qemu.console import Console
from harness.providers.renew import switch_off

logger = logging.getLogger(__name__)

FORGETS = ".forgets"
"""Ends the name of a file that stands for a disk that does not keep what was typed, as those of
live CDs with everything in memory."""


@contextmanager
def up(boot: QemuBoot, console: Path, deadline: Deadline) -> Iterator[RunningGuest]:
    """Bring a guest up for the block. A `BootError` carries the end of the console's text."""
    with ExitStack() as stack:
        live = _resumed(stack, boot, console, deadline)
        live = live or _from_typed_disk(stack, boot, console, deadline)
        yield live or _booted(stack, boot, console, deadline)


def _resumed(
    stack: ExitStack, boot: QemuBoot, path: Path, deadline: Deadline
) -> RunningGuest | None:
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
            live = log_in(attempt, again, Console(path), limit, state.memory)
        except (BootError, OSError) as exc:
            if deadline.passed:
                raise  # no time is left for a boot
            logger.warning("%s: booting it: its saved state failed: %s", boot.guest.name, exc)
            state.forget()
            return None
        # Only now does the caller's stack own the guest; a failed attempt ended it above.
        stack.enter_context(attempt.pop_all())
        return live


def _from_typed_disk(
    stack: ExitStack, boot: QemuBoot, path: Path, deadline: Deadline
) -> RunningGuest | None:
    """Boot the disk that was typed on before; None if there is none, or it does not let us in."""
    disk = boot.typed
    if disk is None or not disk.take():
        return None
    with ExitStack() as attempt:
        try:
            made = belongings.bring_back(boot.made, boot.tenancy.folder, disk.folder)
            again = replace(boot, made=made, qemu=replace(boot.qemu, console=()))
            limit = deadline.within(boot.qemu.boot_timeout * boot.factor)
            live = log_in(attempt, again, Console(path), limit)
            # Every guest that is booted from this disk has the key that is on it, so replace it.
            if boot.qemu.ssh.key is None:
                renew_key(again, live.transport, limit)
        except (BootError, OSError) as exc:
            if deadline.passed:
                raise
            logger.warning(
                "%s: typing again: the disk that was typed on failed: %s", boot.guest.name, exc
            )
            disk.forget()
            return None
        stack.enter_context(attempt.pop_all())
        return live


def _booted(stack: ExitStack, boot: QemuBoot, path: Path, deadline: Deadline) -> RunningGuest:
    """Boot a guest, and type on its console if its file says so; keep what was typed."""
    seconds = (boot.qemu.boot_timeout + boot.qemu.typing_seconds) * boot.factor
    forgets = _forgets(boot)
    with ExitStack() as attempt:
        live = log_in(attempt, boot, Console(path), deadline.within(seconds))
        warm = boot.state is not None and boot.state.folder.exists()
        limit = deadline.within(clocks.SWITCH_OFF * boot.factor)
        if warm or forgets is None or forgets.exists() or not _switched_off(boot, live, limit):
            stack.enter_context(attempt.pop_all())
            return live
        kept = _disk_kept(boot, live, limit)
    again = _from_typed_disk(stack, boot, path, deadline)
    if again is None:
        if kept:
            logger.warning("%s: its disk forgets what was typed", boot.guest.name)
            forgets.touch(mode=0o600)
        again = log_in(stack, boot, Console(path), deadline.within(seconds))
    return again


def _forgets(boot: QemuBoot) -> Path | None:
    return None if boot.typed is None else boot.typed.folder.with_suffix(FORGETS)


def _switched_off(boot: QemuBoot, live: RunningGuest, limit: Deadline) -> bool:
    """Tell a guest to switch itself off; return False if it runs on, because it cannot."""
    try:
        switch_off(boot.guest, live.transport, limit)
    except BootError as exc:
        logger.info("%s: its disk cannot be kept: %s", boot.guest.name, exc)
        return False
    return True


def _disk_kept(boot: QemuBoot, live: RunningGuest, limit: Deadline) -> bool:
    """Wait until a guest is off, and keep its disk with the keys that are on it."""
    assert boot.typed is not None
    host_key = (live.login.host_key, live.transport.provenance["host_key"])

    def save(memory: Path) -> None:
        belongings.keep(boot.made, boot.tenancy.folder, *host_key, memory.parent)

    try:
        live.machine.until_off(limit)
        boot.typed.keep(live.machine.console.raw(), save)
    except (BootError, OSError) as exc:
        logger.info("%s: its disk is not kept: %s", boot.guest.name, exc)
        return False
    finally:
        live.transport.close()
    return True
