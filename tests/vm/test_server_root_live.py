"""Roots of real packages: their servers run here and in a guest, and nothing is written to them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_command import need_guest

from harness import guests, leases
from harness.deadline import Deadline
from harness.machine import seals
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.protocols import Transport
from harness.providers.host import ThisMachine
from harness.providers.packages import mirror, roots
from harness.providers.qemu import server_disk
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop

pytestmark = [
    pytest.mark.vm,
    pytest.mark.xdist_group("server-root"),
    pytest.mark.skipif(mirror.refusal() is not None, reason="no apt here, or not amd64"),
]

GUESTS = guests.load([guests_folder()])

SERVERS = ("gunicorn", "haproxy", "nginx-light")

ONE = "linux-6.1"

BOOT = 900.0

CHROOT = 'mount -t proc proc "$0/proc" && mount -t tmpfs none "$0/tmp" && exec chroot "$0" "$@"'


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """The user's packages and kernels, but no root and no saved guest yet."""
    folder = tmp_path_factory.mktemp("servers")
    cache = folder / "cache"
    cache.mkdir()
    for shelf in Places.of_user().cache.iterdir():
        if shelf.name not in ("warm", "servers", "resolved", "seals", "disks"):
            (cache / shelf.name).symlink_to(shelf)
    yield Places(cache, folder / "state")
    assert not leases.leases(Places(cache, folder / "state"))


def bench(places: Places, folder: Path, packages: tuple[str, ...] = SERVERS) -> Workshop:
    return Workshop(places, lambda name: folder / f"{name}.log", packages=packages)


def inside(root: Path, *argv: str) -> str:
    """Run a program of a root as whoever runs these tests: root of a user namespace at least."""
    unshare = ["unshare", "--mount", "--map-root-user"]
    done = subprocess.run(
        [*unshare, "--pid", "--fork", "sh", "-c", CHROOT, str(root), *argv],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0 and "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_servers_run_from_a_root_that_stays_as_it_is(places: Places, tmp_path: Path) -> None:
    workshop = bench(places, tmp_path, (*SERVERS, "no-such-package"))
    with ThisMachine(workshop).boot(GUESTS["host"], Deadline(BOOT)) as transport:
        found = transport.server_root
    assert found.missing == {
        "no-such-package": f"Debian {found.suite} has no package no-such-package"
    }
    root = Path(found.path)
    assert "nginx version" in inside(root, "nginx", "-v")
    assert "HAProxy version" in inside(root, "haproxy", "-v")
    assert "gunicorn" in inside(root, "gunicorn", "--version")
    assert "nogroup" in inside(root, "sh", "-c", "id nobody")
    assert seals.unbroken(root, places) is not None
    began = time.monotonic()
    again = roots.prepare(workshop.packages, roots.SUITES, places, Deadline(60))
    assert (again.folder, time.monotonic() - began < 10) == (found.path, True)


def said(transport: Transport, line: str) -> str:
    done = transport.run(["sh", "-c", line], timeout=120)
    assert done.status == 0, done.stderr
    return (done.stdout + done.stderr).decode()


def test_a_guest_has_its_servers_on_a_disk_cold_and_warm(places: Places, tmp_path: Path) -> None:
    need_guest(ONE)
    guest = GUESTS[ONE]
    if server_disk.refusal() is not None:
        pytest.skip(str(server_disk.refusal()))
    for start in ("cold", "warm"):
        with QemuProvider(bench(places, tmp_path)).boot(guest, Deadline(BOOT)) as transport:
            facts, root = transport.provenance, transport.server_root
            assert (facts["start"], root.path, dict(root.missing)) == (start, "/servers", {})
            assert root.suite == facts["suite"] == facts["servers_suite"]
            assert "nginx version" in said(transport, "chroot /servers nginx -v")
            assert "HAProxy version" in said(transport, "chroot /servers haproxy -v")
            assert "gunicorn" in said(transport, "chroot /servers gunicorn --version")
            refused = transport.run(["touch", "/servers/etc/new"], timeout=60)
            assert b"Read-only file system" in refused.stderr
            assert int(said(transport, "cat /sys/block/vda/ro")) == 1
    # A run that asks for no servers gets neither the disk nor the guest that was saved with it.
    with QemuProvider(bench(places, tmp_path, ())).boot(guest, Deadline(BOOT)) as transport:
        assert (transport.provenance["start"], transport.server_root.path) == ("cold", "")
        assert said(transport, "ls /sys/block").split() == []
        assert transport.provenance["memory"] == str(guest.qemu.memory if guest.qemu else 0)


MAKER = """
import sys
from pathlib import Path
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.providers.packages import roots
places = Places(Path(sys.argv[1]), Path(sys.argv[2]))
roots.prepare(("memcached",), roots.SUITES, places, Deadline(900))
"""


def test_who_is_killed_while_unpacking_leaves_nothing_half(places: Places) -> None:
    shelf = places.folder(roots.SHELF)
    before = {path.name for path in shelf.iterdir()}
    argv = [sys.executable, "-c", MAKER, str(places.cache), str(places.state)]
    trees = places.folder("scratch")
    known = set(trees.iterdir())
    with subprocess.Popen(argv) as process:
        while not (new := [one for one in set(trees.iterdir()) - known if list(one.glob("tree"))]):
            assert process.poll() is None, "it was made before it could be killed"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while (left := [one for one in new if one.exists()]) and time.monotonic() < until:
        for one in left:  # a child of its tools may write for a moment
            shutil.rmtree(one, ignore_errors=True)
        time.sleep(0.1)
    assert left == []
    assert {path.name for path in shelf.iterdir()} == before
    made = roots.prepare(("memcached",), roots.SUITES, places, Deadline(900))
    assert "memcached" in inside(made.path, "memcached", "-V")
