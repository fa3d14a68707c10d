"""Gives a guest that was resumed from a saved state the time, fresh randomness and a key, over SSH.

This is for guests from disks. They are saved after a login, with the clock and the random generator
of that moment. Guests from our own initramfs get all this before their network is up
(qemu/login_line.py).
"""

import secrets
import time
from datetime import UTC, datetime

import paramiko

from harness.agent.installed import placed
from harness.agent.user import of_guest
from harness.deadline import Deadline
from harness.errors import BootError, InfrastructureError
from harness.model import Guest
from harness.protocols import Completed, Transport
from harness.providers import reseed
from harness.transport.keys import key_text

CLOCK = 'date -u -s "@$0" >/dev/null 2>&1 || date -u "$1" >/dev/null || exit 1; cat >/dev/urandom'
"""Linux's `date -s @SECONDS`, else the BSDs' `date CCYYMMDDHHMM.SS`. Bytes written to the random
device are mixed into the pool (random(4) of each system)."""

RESEED = 'exec "$0" >/dev/urandom'

KEYS = "umask 077; cat >.ssh/authorized_keys"


OFF = """[ "$(id -u)" = 0 ] || { echo this user is not root >&2; exit 1; }
trap '' HUP
sync
{ sleep 2; shutdown -p now || poweroff || halt -p; } </dev/null >/dev/null 2>&1 &"""
"""In the background, so that the command ends before the connection does. `-p` is the BSDs';
Linux's shutdown rejects it, and illumos has poweroff, too."""


def renew(guest: Guest, transport: Transport, deadline: Deadline) -> None:
    """Set the guest's clock and renew its randomness; raise `BootError` if either fails."""
    now = time.time()
    words = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M.%S")
    seed = secrets.token_bytes(reseed.SEED_BYTES)
    try:
        with placed(transport, "reuseport-renew") as place:
            user = of_guest(transport, place.user, place.uid, guest.root)
            clock = user.command(["sh", "-c", CLOCK, f"{now:.0f}", words])
            _well(transport.run(clock, stdin=seed, timeout=deadline.left()), "set its clock")
            if guest.system == "Linux" and guest.architecture == "x86_64":
                path, content = f"{place.folder}/reseed", reseed.program()
                transport.push(content, path, executable=True, timeout=deadline.left())
                argv = user.command(["sh", "-c", RESEED, path])
                done = transport.run(argv, stdin=seed, timeout=deadline.left())
                _well(done, "renew its randomness")
    except InfrastructureError as exc:
        raise BootError(f"it cannot be renewed: {exc}") from exc


def switch_off(guest: Guest, transport: Transport, deadline: Deadline) -> None:
    """Have the guest switch itself off in order, soon; raise `BootError` if it cannot."""
    try:
        with placed(transport, "reuseport-renew") as place:
            user = of_guest(transport, place.user, place.uid, guest.root)
            argv = user.command(["sh", "-c", OFF])
            _well(transport.run(argv, timeout=deadline.left()), "switch itself off")
    except InfrastructureError as exc:
        raise BootError(f"it cannot be switched off: {exc}") from exc


def change_key(transport: Transport, key: paramiko.PKey, deadline: Deadline) -> None:
    """Make `key` the only key that may log in; raise `BootError` if that fails."""
    line = f"{key_text(key)}\n".encode()
    try:
        done = transport.run(["sh", "-c", KEYS], stdin=line, timeout=deadline.left())
        _well(done, "change who may log in")
    except InfrastructureError as exc:
        raise BootError(f"its key cannot be changed: {exc}") from exc


def _well(done: Completed, what: str) -> None:
    if done.status != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise BootError(f"it cannot {what}: status {done.status}: {said[:200]}")
