"""`shell` and `exec` enter the guest that was kept, unless it is asked for a new one."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ssh_server import SshServer, serving
from sshd import write_key

from harness import leases
from harness.leases import Login
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.guest import Host
from harness.run.visit import visited
from harness.transport import LocalTransport, SshTransport
from harness.transport.keys import key_text

SLEEP = "import time; time.sleep(60)"

GUEST = Guest("here", "Linux", AgentSource(target="host"), host=Host(isolate=False))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def kept(places: Places, tmp_path: Path) -> Iterator[SshServer]:
    """A server that stands for a guest which an earlier command has kept."""
    with (
        serving() as server,
        leases.hold(places, GUEST.name) as tenancy,
        subprocess.Popen([sys.executable, "-c", SLEEP, *named(tenancy)]) as process,
    ):
        tenancy.runs(process.pid)
        server.user_key = write_key(tmp_path / "key")
        shown = key_text(server.host_key)
        tenancy.keep(Login("127.0.0.1", server.port, "root", str(tmp_path / "key"), shown))
        yield server
        process.kill()


def named(tenancy: leases.Tenancy) -> tuple[str, str]:
    """Return the words of a command line by which a process is known as the guest of a lease."""
    return (leases.NAME_OPTION, tenancy.lease.tag)


def test_the_kept_guest_is_entered(places: Places, kept: SshServer) -> None:
    with visited(GUEST, places, only=None, keep=False, cold=False) as live:
        assert isinstance(live, SshTransport)
    assert len(kept.connections) == 1


def test_cold_boots_another_one_beside_it_and_says_so(
    places: Places, kept: SshServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with visited(GUEST, places, only=None, keep=False, cold=True) as live:
        assert isinstance(live, LocalTransport)
    assert kept.connections == []
    assert "another one is booted beside it" in caplog.text
    assert [lease.guest for lease in leases.kept(places)] == [GUEST.name]


def test_a_provider_that_is_asked_for_in_vain_is_said(
    places: Places, kept: SshServer, caplog: pytest.LogCaptureFixture
) -> None:
    with visited(GUEST, places, only="host", keep=False, cold=False):
        pass
    assert len(kept.connections) == 1
    assert "`reuseport-matrix stop here`, or --cold, lets host start it" in caplog.text
