"""A guest that Vagrant made: logged in to, saved and restored, and what it was made of."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import paramiko
from msgspec import Struct

from harness import leases
from harness.deadline import Deadline
from harness.errors import BootError
from harness.model import Guest
from harness.providers.vagrant.plugins import PLUGINS, Installed
from harness.transport import Login, SshTransport

if TYPE_CHECKING:
    from harness.providers.vagrant.commands import Commands, Place

CONNECT_SECONDS = 60.0
"""For a login to a guest that Vagrant has just spoken to; a restored one is dead for a moment."""


class Making(Struct, frozen=True):
    """How a guest is made: by which of Vagrant's providers, on which accelerator."""

    guest: Guest
    provider: str
    installed: Installed
    accelerator: str
    factor: float

    def provenance(self, version: str | None) -> Mapping[str, str]:
        """Say so; `version` is the box's."""
        vagrant = self.guest.vagrant
        assert vagrant is not None
        plugin = PLUGINS.get(self.provider)
        return {
            "provider": "vagrant",
            "vagrant": self.installed.version,
            "vagrant_provider": self.provider,
            "plugin": f"{plugin} {self.installed.plugins.get(plugin)}" if plugin else "none",
            "box": vagrant.boxes[self.provider].box,
            "box_version": version or "unknown",
            "accelerator": self.accelerator,
            "slow_factor": f"{self.factor:g}",
            "cpus": str(vagrant.cpus),
            "memory": str(vagrant.memory),
        }


class VagrantMachine:
    """A guest that is up."""

    def __init__(self, making: Making, place: "Place", provenance: Mapping[str, str]) -> None:
        self._making = making
        self._place = place
        self._provenance = provenance
        self._host_key: paramiko.PKey | None = None
        self._transport: SshTransport | None = None
        self.login: leases.Login | None = None

    @property
    def transport(self) -> SshTransport:
        """The connection, a new one after each `connect`."""
        assert self._transport is not None
        return self._transport

    def connect(self, deadline: Deadline) -> None:
        """Log in as Vagrant would; the host key that the first login met is pinned."""
        found = self._commands(deadline).login()
        assert self._making.guest.vagrant is not None
        ssh = self._making.guest.vagrant.ssh
        path = ssh.key or found["IdentityFile"]
        host, port, user = found["HostName"], int(found["Port"]), found["User"]
        try:
            key = paramiko.PKey.from_path(path)
        except (OSError, ValueError, paramiko.SSHException) as exc:
            hint = "`vagrant.ssh.key` in the guest file is a private key without a passphrase"
            raise BootError(f"the SSH key {path} cannot be used: {exc}", hint=hint) from exc
        remedy = "the console log has what Vagrant said; does `vagrant.ssh` name the right key?"
        login = Login(host, port, user, (key,), self._host_key, remedy=remedy)
        limit = deadline.within(CONNECT_SECONDS * self._making.factor)
        self._transport = SshTransport.log_in(login, limit, self._provenance)
        shown = self._host_key = self._transport.host_key
        known = f"{shown.get_name()} {shown.get_base64()}"
        self.login = leases.Login(host, port, user, path, known)

    def close(self) -> None:
        """End the connection; the guest stays up."""
        if self._transport is not None:
            self._transport.close()

    def state(self, deadline: Deadline) -> str:
        """Return Vagrant's word for how the guest is."""
        return self._commands(deadline).state()

    def save(self, snapshot: str, deadline: Deadline) -> None:
        """Save the guest as it is, memory included."""
        self._commands(deadline).snapshot("save", snapshot)

    def restore(self, snapshot: str, deadline: Deadline) -> None:
        """Bring the guest back to a snapshot, and log in again: connections do not survive."""
        self.close()
        self._commands(deadline).snapshot("restore", snapshot)
        self.connect(deadline)

    def delete(self, snapshot: str, deadline: Deadline) -> None:
        """Forget a snapshot."""
        self._commands(deadline).snapshot("delete", snapshot)

    def snapshots(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the names of the snapshots."""
        return self._commands(deadline).snapshots()

    def halt(self, deadline: Deadline) -> None:
        """Power the guest off."""
        self.close()
        self._commands(deadline).shut_down()

    def _commands(self, deadline: Deadline) -> "Commands":
        from harness.providers.vagrant.commands import Commands

        return Commands(self._place, deadline)
