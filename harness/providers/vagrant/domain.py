"""A guest that Vagrant made at libvirt's, saved and brought back by virsh.

It takes half a second where Vagrant takes two to five. And vagrant-libvirt finds a guest only while
dnsmasq knows its address, for an hour after it was last seen; ours is where it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from harness.deadline import Deadline
from harness.errors import BootError
from harness.leases import Undo
from harness.providers.vagrant.libvirt import Ground, do
from harness.providers.vagrant.machine import Making, VagrantMachine

if TYPE_CHECKING:
    from harness.providers.vagrant.commands import CommandPlace


class Domain(VagrantMachine):
    """A guest of this name on our network, which is at `subnet`."""

    def __init__(
        self,
        making: Making,
        place: "CommandPlace",
        start: str,
        *,
        name: str,
        ground: Ground,
        subnet: str,
    ) -> None:
        super().__init__(making, place, start)
        self._name = name
        self._ground = ground
        self._subnet = subnet

    @contextmanager
    def box_ready(self, deadline: Deadline) -> Iterator[tuple[Undo, ...]]:
        """Let one at a time bring the box's image into libvirt's pool."""
        making = self._making
        with self._ground.box_ready(making.box, making.version, deadline) as forget:
            yield () if forget is None else (forget,)

    def save(self, snapshot: str, deadline: Deadline) -> None:
        """Save the guest as it is, memory included; its address stays its own from here on."""
        assert self.login is not None
        self._ground.reserve(self._name, self.login.host, deadline)
        do(deadline, "snapshot-create-as", self._name, snapshot)

    def restore(self, snapshot: str, deadline: Deadline) -> None:
        """Bring the guest back to a snapshot, and log in again where it was."""
        assert self.login is not None
        if ip_address(self.login.host) not in ip_network(self._subnet):
            raise BootError(f"it is at {self.login.host}, the network now at {self._subnet}")
        self.close()
        do(deadline, "snapshot-revert", self._name, snapshot, "--force")
        self._log_in(self.login, deadline)

    def power_off(self, deadline: Deadline) -> None:
        """Power the guest off, at once."""
        self.close()
        do(deadline, "destroy", self._name)
