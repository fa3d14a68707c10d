"""Warm guests: they resume from a saved state, behave like new ones, and start sooner."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from live_command import Here, need_guest
from msgspec.structs import replace

from harness import guests, leases
from harness.deadline import Deadline
from harness.errors import BootError, GuestLostError
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import Guest
from harness.protocols import Transport
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop
from harness.store.journal import GuestMet
from harness.transport import SshTransport
from harness.transport.keys import read_key

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("warm")]

GUESTS = guests.load([guests_folder()])
LINUX = sorted(name for name, guest in GUESTS.items() if guest.qemu and guest.qemu.debian)
ONE = "linux-6.1"
BOOT = 300.0

RANDOM = "dd if=/dev/urandom bs=16 count=1 2>/dev/null | base64"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """The user's packages and kernels, but no saved guest yet."""
    folder = tmp_path_factory.mktemp("warm")
    cache = folder / "cache"
    cache.mkdir()
    for shelf in Places.of_user().cache.iterdir():
        if shelf.name != "warm":
            (cache / shelf.name).symlink_to(shelf)
    yield Places(cache, folder / "state")
    assert not leases.leases(Places(cache, folder / "state"))


def bench(places: Places, folder: Path, *, keep: bool = False, cold: bool = False) -> Workshop:
    return Workshop(places, lambda name: folder / f"{name}.log", keep, cold)


def said(transport: Transport, line: str) -> str:
    done = transport.run(["sh", "-c", line], timeout=60)
    assert done.status == 0, done.stderr
    return done.stdout.decode().strip()


@pytest.mark.parametrize("name", LINUX)
def test_a_guest_that_was_kept_is_as_good_as_new(name: str, places: Places, tmp_path: Path) -> None:
    need_guest(name)
    random, hosts, logins, starts = set[str](), set[str](), set[str](), []
    for _ in range(3):
        began = time.time()
        with QemuProvider(bench(places, tmp_path)).boot(GUESTS[name], Deadline(BOOT)) as transport:
            random.add(said(transport, RANDOM))
            hosts.add(transport.host_key.get_base64())
            logins.add(said(transport, "cat .ssh/authorized_keys"))
            clock = float(said(transport, "date +%s"))
            assert began - 2 <= clock <= time.time() + 2
            assert int(said(transport, "cat /proc/sys/net/ipv4/tcp_syncookies")) == 1
            starts.append(transport.provenance["start"])
    assert starts == ["cold", "warm", "warm"]
    assert (len(random), len(hosts), len(logins)) == (3, 3, 3)
    log = (tmp_path / f"{name}.log").read_text()
    assert log.count("Linux version") == 3  # what it had said is there each time
    assert log.count("goes on from here") == 2


def test_a_guest_that_goes_on_lets_nobody_else_in(places: Places, tmp_path: Path) -> None:
    need_guest(ONE)
    workshop = bench(places, tmp_path, keep=True)
    keys: list[paramiko.PKey] = []
    try:
        for _ in range(2):
            with QemuProvider(workshop).boot(GUESTS[ONE], Deadline(BOOT)):
                pass
            (lease,) = leases.kept(places)
            login = lease.login
            assert login is not None
            keys.append(read_key(Path(login.key)))
            kind, text = login.host_key.split()
            known = paramiko.PKey.from_type_string(kind, base64.b64decode(text))
            where = (login.host, login.port, login.user)
            SshTransport.connect(*where, keys[-1], known, Deadline(30), {}).close()
            for earlier in keys[:-1]:
                with pytest.raises(BootError, match="refused"):
                    SshTransport.connect(*where, earlier, known, Deadline(5), {})
            leases.stop(places, [ONE])
    finally:
        leases.stop(places)


def test_what_was_kept_and_is_damaged_costs_a_boot_and_no_more(
    places: Places, tmp_path: Path
) -> None:
    need_guest(ONE)
    provider = QemuProvider(bench(places, tmp_path))
    with provider.boot(GUESTS[ONE], Deadline(BOOT)):
        pass
    for memory in (places.cache / "warm").glob("*/memory"):
        memory.write_bytes(memory.read_bytes()[: 4 << 20])
    with provider.boot(GUESTS[ONE], Deadline(BOOT)) as transport:
        assert transport.provenance["start"] == "cold"
        assert said(transport, "echo well") == "well"
    with provider.boot(GUESTS[ONE], Deadline(BOOT)) as transport:
        assert transport.provenance["start"] == "warm"


def test_a_cold_boot_is_one(places: Places, tmp_path: Path) -> None:
    need_guest(ONE)
    for cold in (False, True):
        workshop = bench(places, tmp_path, cold=cold)
        with QemuProvider(workshop).boot(GUESTS[ONE], Deadline(BOOT)) as transport:
            start = transport.provenance["start"]
    assert start == "cold"


def test_the_command_starts_warm_unless_told_otherwise(tmp_path: Path) -> None:
    need_guest(ONE)
    here = Here(tmp_path)
    starts = []
    for number, more in enumerate(((), (), ("--cold",))):
        out = f"run{number}"
        done = here("run", ONE, "--scenario", "sharing", "--out", out, *more)
        assert done.status == 0, done.err
        (met,) = [line for line in here.journal(out) if isinstance(line, GuestMet)]
        starts.append(met.provenance["start"])
    assert starts[1:] == ["warm", "cold"]
    words = [[cell.verdict for cell in here.matrix(f"run{number}").cells] for number in range(3)]
    assert words[0] == words[1] == words[2]
    assert here.left() == []


def test_a_kernel_that_panics_and_stays_is_noticed_at_once(places: Places, tmp_path: Path) -> None:
    need_guest(ONE)
    guest: Guest = GUESTS[ONE]
    assert guest.qemu is not None
    stays = replace(guest, qemu=replace(guest.qemu, append="panic=0"))
    with QemuProvider(bench(places, tmp_path)).boot(stays, Deadline(BOOT)) as transport:
        began = time.monotonic()
        with pytest.raises(GuestLostError, match=r"the kernel panicked: .*sysrq") as caught:
            transport.run(["sh", "-c", "echo c >/proc/sysrq-trigger; sleep 60"], timeout=50)
        assert time.monotonic() - began < 5
    assert "sysrq" in caught.value.console
