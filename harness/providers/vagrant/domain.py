"""A guest that Vagrant made in libvirt, saved and restored by virsh.

virsh takes half a second, Vagrant two to five. Also, vagrant-libvirt finds a guest only while
dnsmasq has its address, for an hour after it was last seen. We reserve the address instead.
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
    """The libvirt domain `name` on our network, whose addresses are `subnet`."""

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
        """Hold a lock while the box's image is copied into libvirt's pool, if it is not there."""
        making = self._making
        with self._ground.box_ready(making.box, making.version, deadline) as forget:
            yield () if forget is None else (forget,)

    def save(self, snapshot: str, deadline: Deadline) -> None:
        """Save the guest with its memory, and reserve its address for it from now on."""
        assert self.login is not None
        self._ground.reserve(self._name, self.login.host, deadline)
        do(deadline, "snapshot-create-as", self._name, snapshot)

    def restore(self, snapshot: str, deadline: Deadline) -> None:
        """Restore a snapshot, and log in at the same address again."""
        assert self.login is not None
        if ip_address(self.login.host) not in ip_network(self._subnet):
            raise BootError(f"its address {self.login.host} is not in the network {self._subnet}")
        self.close()
        do(deadline, "snapshot-revert", self._name, snapshot, "--force")
        self._log_in(self.login, deadline)

    def power_off(self, deadline: Deadline) -> None:
        """Power the guest off, at once."""
        self.close()
        do(deadline, "destroy", self._name)
