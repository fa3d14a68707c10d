"""A guest that Vagrant made: login, save and restore, and its provenance."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko
from msgspec import Struct
from msgspec.structs import replace

from harness import clocks, leases
from harness.deadline import Deadline
from harness.errors import BootError
from harness.leases import Undo
from harness.model import Box, Guest
from harness.providers.vagrant import boxes
from harness.providers.vagrant.plugins import PLUGINS, Installed
from harness.transport import SshLogin, SshTransport
from harness.transport.keys import key_text, parse_key

if TYPE_CHECKING:
    from harness.providers.vagrant.commands import CommandPlace, Commands

logger = logging.getLogger(__name__)


class Making(Struct, frozen=True):
    """How a guest is made: the Vagrant provider, the accelerator, and the slow-host `factor`."""

    guest: Guest
    provider: str
    installed: Installed
    accelerator: str
    factor: float

    @property
    def box(self) -> Box:
        """The box that it is made from."""
        assert self.guest.vagrant is not None
        return self.guest.vagrant.boxes[self.provider]

    @property
    def version(self) -> str | None:
        """The installed version of the box, or None."""
        return boxes.version_here(self.box, self.provider)

    def provenance(self) -> Mapping[str, str]:
        """Return how the guest was made, for its record; its box must be installed."""
        vagrant = self.guest.vagrant
        assert vagrant is not None
        plugin = PLUGINS.get(self.provider)
        return {
            "provider": "vagrant",
            "vagrant": self.installed.version,
            "vagrant_provider": self.provider,
            "plugin": f"{plugin} {self.installed.plugins.get(plugin)}" if plugin else "none",
            "box": self.box.box,
            "box_version": self.version or "unknown",
            "accelerator": self.accelerator,
            "slow_factor": f"{self.factor:g}",
            "cpus": str(vagrant.cpus),
            "memory": str(vagrant.memory),
        }


class VagrantMachine:
    """A guest; `start` is `cold` if it was booted, `warm` if it was resumed."""

    def __init__(self, making: Making, place: "CommandPlace", start: str) -> None:
        self._making = making
        self._place = place
        self._start = start
        self._transport: SshTransport | None = None
        self.login: leases.Login | None = None

    @property
    def transport(self) -> SshTransport:
        """The connection, a new one after each `connect`."""
        assert self._transport is not None
        return self._transport

    @contextmanager
    def box_ready(self, deadline: Deadline) -> Iterator[tuple[Undo, ...]]:
        """Lock the box's first use for the block, if needed; yield the commands that undo it."""
        yield ()

    def up(self, deadline: Deadline) -> None:
        """Make the guest, and wait until Vagrant calls it up."""
        making = self._making
        assert making.guest.vagrant is not None
        limit = deadline
        if making.version is not None:
            seconds = making.guest.vagrant.boot_timeout + clocks.VAGRANT_UP
            limit = deadline.within(seconds * making.factor)
        else:
            logger.info("%s: Vagrant is fetching %s", making.guest.name, making.box.box)
        self._commands(limit).start(making.provider)

    def connect(self, deadline: Deadline) -> None:
        """Log in as Vagrant would; pin the host key of the first login."""
        found = self._commands(deadline).login()
        assert self._making.guest.vagrant is not None
        key = self._making.guest.vagrant.ssh.key or found["IdentityFile"]
        host, port, user = found["HostName"], int(found["Port"]), found["User"]
        known = self.login.host_key if self.login is not None else ""
        self._log_in(leases.Login(host, port, user, key, known), deadline)

    def _log_in(self, to: leases.Login, deadline: Deadline) -> None:
        try:
            key = paramiko.PKey.from_path(to.key)
        except (OSError, ValueError, paramiko.SSHException) as exc:
            hint = "`vagrant.ssh.key` in the guest file must be a private key without a passphrase"
            raise BootError(f"the SSH key {to.key} cannot be used: {exc}", hint=hint) from exc
        remedy = "the console log has Vagrant's output; does `vagrant.ssh` name the right key?"
        known = (_host_key(to.host_key),) if to.host_key else ()
        login = SshLogin(to.host, to.port, to.user, (key,), known, remedy=remedy)
        limit = deadline.within(clocks.VAGRANT_LOGIN * self._making.factor)
        provenance = {"start": self._start, **self._making.provenance()}
        self._transport = SshTransport.log_in(login, limit, provenance)
        self.login = replace(to, host_key=key_text(self._transport.host_key))

    def close(self) -> None:
        """Close the connection; the guest stays up."""
        if self._transport is not None:
            self._transport.close()

    def state(self, deadline: Deadline) -> str:
        """Return the guest's state in Vagrant's words."""
        return self._commands(deadline).state()

    def save(self, snapshot: str, deadline: Deadline) -> None:
        """Save the guest with its memory."""
        self._commands(deadline).snapshot("save", snapshot)

    def restore(self, snapshot: str, deadline: Deadline) -> None:
        """Restore a snapshot, and log in again, as connections do not survive that."""
        self.close()
        self._commands(deadline).snapshot("restore", snapshot)
        self.connect(deadline)

    def delete(self, snapshot: str, deadline: Deadline) -> None:
        """Delete a snapshot."""
        self._commands(deadline).snapshot("delete", snapshot)

    def snapshots(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the names of the snapshots."""
        return self._commands(deadline).snapshots()

    def power_off(self, deadline: Deadline) -> None:
        """Power the guest off at once."""
        self.close()
        self._commands(deadline).power_off()

    def _commands(self, deadline: Deadline) -> "Commands":
        from harness.providers.vagrant.commands import Commands

        return Commands(self._place, deadline)


def _host_key(known: str) -> paramiko.PKey:
    try:
        return parse_key(known)
    except ValueError as exc:
        raise BootError(f"its host key is damaged: {exc}") from exc
