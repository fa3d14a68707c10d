"""A real guest: who can reach it, what it can reach, and who can read its keys."""

import logging
import socket
import stat
from pathlib import Path

import psutil
import pytest
from live_command import need_guest
from owned import machines_of

from harness import guests, leases
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.protocols import Transport
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop

pytestmark = pytest.mark.vm

NAME = "linux-6.1"

GATEWAY = "10.0.2.2"
"""This machine, as a guest of QEMU's user network sees it (qemu-options.hx: `-netdev user`)."""

REACH = "echo hello | timeout 3 nc {} {}"


@pytest.mark.xdist_group("qemu")
def test_a_guest_is_reached_from_here_alone_and_reaches_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    need_guest(NAME)
    caplog.set_level(logging.DEBUG)
    places = Places(Places.of_user().cache, tmp_path / "state")
    workshop = Workshop(places, lambda name: tmp_path / name / "console.log")
    guest = guests.load([guests_folder()])[NAME]
    with QemuProvider(workshop).boot(guest, Deadline(300)) as transport:
        (machine,) = map(psutil.Process, machines_of(places.state))
        assert listening(machine) == ["127.0.0.1"]
        assert not reaches_this_machine(transport)
        (lease,) = leases.leases(places)
        key = Path(lease.folder, "key")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        host_key = transport.run(["base64", "/etc/dropbear/host_key"], timeout=30)
        secrets = [key.read_text().splitlines()[2], *host_key.stdout.decode().split()]
        command = " ".join(machine.cmdline())
    assert len(secrets) > 1
    for text in (caplog.text, command, *kept(tmp_path)):
        assert not [one for one in secrets if one in text]
    assert "-netdev" in caplog.text  # or there was no output at all
    assert not key.exists()


def listening(machine: psutil.Process) -> list[str]:
    """Return the addresses on which a QEMU listens."""
    found = machine.net_connections()
    return [one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN]


def reaches_this_machine(transport: Transport) -> bool:
    """Return whether a connection from the guest reaches a server on this machine."""
    with socket.create_server(("0.0.0.0", 0)) as here:
        script = REACH.format(GATEWAY, here.getsockname()[1])
        tried = transport.run(["sh", "-c", script], timeout=60)
        here.settimeout(0.5)
        try:
            here.accept()[0].close()
        except TimeoutError:
            return tried.status == 0
    return True


def kept(folder: Path) -> list[str]:
    """Return the content of the files that a boot leaves."""
    return [path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()]
