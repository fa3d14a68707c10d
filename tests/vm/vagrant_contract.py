"""The providers' contract with a real Vagrant; pytest runs this beside the test's libvirtd."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from provider_contract import ProviderContract, left_of

from harness import guests
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import Guest
from harness.providers.vagrant.libvirt import virsh
from harness.providers.vagrant.provider import VagrantProvider
from harness.providers.workshop import Workshop


class TestVagrantProvider(ProviderContract):
    """The box of guests/box, on libvirt."""

    boot = 200.0
    soon = 60.0

    @pytest.fixture
    def guest(self) -> Guest:
        return guests.load([guests_folder()])["linux-box"]

    @pytest.fixture
    def workshop(self, tmp_path: Path) -> Workshop:
        places = Places(Places.of_user().cache, tmp_path / "state")
        return Workshop(places, lambda name: tmp_path / f"{name}.log", cold=True)

    @pytest.fixture
    def provider(self, workshop: Workshop) -> VagrantProvider:
        return VagrantProvider(workshop)

    @pytest.fixture
    def left(self, workshop: Workshop) -> Callable[[], Sequence[str]]:
        def found() -> Sequence[str]:
            said = virsh(Deadline(30), "list", "--all", "--name").stdout
            said += virsh(Deadline(30), "net-list", "--all", "--name").stdout
            return [*left_of(workshop.places), *said.decode().split()]

        return found
