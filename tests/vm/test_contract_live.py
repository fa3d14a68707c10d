"""The providers' contract with guests that QEMU boots."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from live_command import need_guest
from provider_contract import ProviderContract, left_of

from harness import guests
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import Guest
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("contract")]

ONE = "linux-6.1"


class TestQemuProvider(ProviderContract):
    """A kernel and the harness's initramfs with an SSH server."""

    boot = 300.0
    soon = 60.0

    @pytest.fixture
    def guest(self) -> Guest:
        need_guest(ONE)
        return guests.load([guests_folder()])[ONE]

    @pytest.fixture
    def workshop(self, tmp_path: Path) -> Workshop:
        places = Places(Places.of_user().cache, tmp_path / "state")
        return Workshop(places, lambda name: tmp_path / name / "console.log")

    @pytest.fixture
    def provider(self, workshop: Workshop) -> QemuProvider:
        return QemuProvider(workshop)

    @pytest.fixture
    def left(self, workshop: Workshop) -> Callable[[], Sequence[str]]:
        return lambda: left_of(workshop.places)
