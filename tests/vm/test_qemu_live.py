"""Real Linux guests: they boot, answer, and are gone afterwards, whatever ends them."""

import base64
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from owned import machines_of
from provider_contract import TransportContract

from harness import guests, leases
from harness.deadline import Deadline
from harness.errors import BootError, GuestLostError, NotRunError
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import Guest, Ssh
from harness.model.guest import Qemu
from harness.protocols import Transport
from harness.providers.packages.debian import Debian
from harness.providers.qemu import initramfs
from harness.providers.qemu.cpio import FILE, CpioEntry, archive
from harness.providers.qemu.initramfs import GuestKeys, Userland, module_content
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop
from harness.transport import SshTransport
from harness.transport.keys import make_key, public_key, read_key

pytestmark = pytest.mark.vm

GUESTS = guests.load([guests_folder()])

LINUX = sorted(name for name, guest in GUESTS.items() if guest.qemu and guest.qemu.debian)

ONE = "linux-6.1"

BOOT = 300.0

OWNER = """
import sys, time
from pathlib import Path
from harness import guests
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop
from harness.machine.resources import guests_folder
cache, state, name = sys.argv[1:4]
workshop = Workshop(Places(Path(cache), Path(state)), lambda name: Path(state, name))
guest = guests.load([guests_folder()])[name]
with QemuProvider(workshop).boot(guest, Deadline(300)):
    print("up", flush=True)
    time.sleep(120)
"""


def bench(folder: Path, *, keep: bool = False) -> Workshop:
    """The user's cache, because kernels are large, and a separate state."""
    places = Places(Places.of_user().cache, folder / "state")
    return Workshop(places, lambda name: folder / name / "console.log", keep)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return bench(tmp_path)


def provider_for(guest: Guest, workshop: Workshop) -> QemuProvider:
    """Return the provider; skip, with its reason, if this machine cannot boot the guest."""
    provider = QemuProvider(workshop)
    refusal = provider.refusal(guest)
    if refusal is not None:
        pytest.skip(f"{guest.name}: {refusal}")
    return provider


def nothing_is_left(workshop: Workshop) -> bool:
    state = workshop.places.state
    left = [*state.glob("leases/*"), *state.glob("guests/*")]
    return not left and not machines_of(workshop.places.state)


@pytest.mark.parametrize("name", LINUX)
@pytest.mark.xdist_group("qemu")
def test_a_linux_guest_boots_and_is_gone(name: str, workshop: Workshop) -> None:
    guest = GUESTS[name]
    provider = provider_for(guest, workshop)
    try:
        with provider.boot(guest, Deadline(BOOT)) as transport:
            assert len(machines_of(workshop.places.state)) == 1
            done = transport.run(["uname", "-sr"], timeout=30)
            checks = "test -c /dev/net/tun && grep -q 00000001 /proc/net/if_inet6 && id -u nobody"
            ready = transport.run(["sh", "-c", checks], timeout=30)
            facts = transport.provenance
    except NotRunError as exc:
        pytest.skip(str(exc))
    release = done.stdout.decode().split()[1]
    assert done.stdout.startswith(b"Linux ")
    assert release.split("-")[0] in facts["package"]
    if name != "linux-newest":
        assert release.startswith(name.removeprefix("linux-"))
    assert (ready.status, ready.stdout) == (0, b"65534\n")
    for key in ("package_sha256", "kernel_sha256", "initramfs_sha256"):
        assert len(facts[key]) == 64
    assert (facts["provider"], facts["accelerator"] == "tcg") == (
        "qemu",
        facts["slow_factor"] == "4",
    )
    assert "Linux version" in workshop.consoles(name).read_text(errors="replace")
    assert nothing_is_left(workshop)


@pytest.fixture(scope="module")
def transport(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    """One guest for the whole contract."""
    workshop = bench(tmp_path_factory.mktemp("contract"))
    with provider_for(GUESTS[ONE], workshop).boot(GUESTS[ONE], Deadline(BOOT)) as made:
        yield made


@pytest.fixture
def folder(transport: Transport) -> str:
    """A folder in the guest."""
    return transport.run(["mktemp", "-d"], timeout=30).stdout.decode().strip()


@pytest.mark.xdist_group("qemu")
class TestQemu(TransportContract):
    """A Linux guest keeps what every transport keeps."""


@pytest.mark.xdist_group("qemu")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["up", "booting"])
def test_a_killed_run_leaves_no_guest(
    number: signal.Signals, moment: str, workshop: Workshop
) -> None:
    provider_for(GUESTS[ONE], workshop)
    places = workshop.places
    argv = [sys.executable, "-c", OWNER, str(places.cache), str(places.state), ONE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout is not None
        if moment == "up":
            assert owner.stdout.readline() == b"up\n"
        until = time.monotonic() + BOOT
        while not machines_of(workshop.places.state):
            assert owner.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        owner.send_signal(number)
    leases.gc(places)
    assert nothing_is_left(workshop)


@pytest.mark.xdist_group("qemu")
def test_a_panic_is_a_boot_error_and_not_a_time_out(workshop: Workshop) -> None:
    guest = GUESTS[ONE]
    assert guest.qemu is not None
    machine = replace(guest.qemu, append="rdinit=/none root=/dev/none", boot_timeout=100.0)
    provider = provider_for(guest, workshop)
    began = time.monotonic()
    with (
        pytest.raises(BootError, match="Kernel panic - not syncing: VFS") as caught,
        provider.boot(replace(guest, qemu=machine), Deadline(BOOT)),
    ):
        pytest.fail("a kernel without a root came up")
    assert "VFS" in caught.value.console
    assert time.monotonic() - began < 90
    assert nothing_is_left(workshop)


@pytest.mark.xdist_group("qemu")
def test_a_guest_that_dies_is_lost(workshop: Workshop) -> None:
    guest = GUESTS[ONE]
    with provider_for(guest, workshop).boot(guest, Deadline(BOOT)) as transport:
        began = time.monotonic()
        with pytest.raises(GuestLostError):
            transport.run(["sh", "-c", "echo c >/proc/sysrq-trigger; sleep 60"], timeout=50)
        assert time.monotonic() - began < 30
    assert nothing_is_left(workshop)


@pytest.mark.xdist_group("qemu")
def test_a_kept_guest_is_there_to_log_in_again(tmp_path: Path) -> None:
    workshop = bench(tmp_path, keep=True)
    guest = GUESTS[ONE]
    with provider_for(guest, workshop).boot(guest, Deadline(BOOT)) as transport:
        transport.run(["touch", "/tmp/mine"], timeout=30)
    (lease,) = leases.kept(workshop.places)
    try:
        assert leases.gc(workshop.places) == ()
        login = lease.login
        assert login is not None
        kind, text = login.host_key.split()
        known = paramiko.PKey.from_type_string(kind, base64.b64decode(text))
        key = read_key(Path(login.key))
        again = SshTransport.connect(
            login.host, login.port, login.user, key, known, Deadline(30), {}
        )
        assert again.run(["ls", "/tmp/mine"], timeout=30).stdout == b"/tmp/mine\n"
        again.close()
    finally:
        (ended,) = leases.stop(workshop.places, [guest.name])
    assert ended.id == lease.id
    assert nothing_is_left(workshop)


@pytest.mark.xdist_group("qemu")
def test_a_disk_is_written_beside_itself_and_a_host_key_is_learnt(
    tmp_path: Path, workshop: Workshop
) -> None:
    guest = GUESTS[ONE]
    provider = provider_for(guest, workshop)
    assert guest.qemu is not None
    disk = tmp_path / "disk.img"
    disk.write_bytes(os.urandom(1 << 20))
    before = hashlib.sha256(disk.read_bytes()).hexdigest()
    host = Ed25519PrivateKey.generate()
    machine = replace(
        guest.qemu,
        disk=str(disk),
        disk_format="raw",
        initrd=str(initrd_with_disks(guest.qemu, host, workshop.places, tmp_path)),
        ssh=Ssh(key=str(tmp_path / "key")),
    )
    write = "insmod /modules/virtio_blk.ko && sha256sum /dev/vda && "
    write += "dd if=/dev/zero of=/dev/vda bs=64k count=4 && sync"
    with provider.boot(replace(guest, qemu=machine), Deadline(BOOT)) as transport:
        done = transport.run(["sh", "-c", write], timeout=60)
        assert (done.status, done.stdout.split()[0].decode()) == (0, before)
        assert transport.provenance["disk_sha256"] == before
        assert transport.host_key.asbytes() == public_key(host).asbytes()
    assert hashlib.sha256(disk.read_bytes()).hexdigest() == before
    assert nothing_is_left(workshop)


def initrd_with_disks(machine: Qemu, host: Ed25519PrivateKey, places: Places, folder: Path) -> Path:
    """The harness's initramfs as a user might build it: with virtio disks and the user's key."""
    assert machine.debian is not None
    packages = Debian(places).kernel(machine.debian, Deadline(BOOT))
    modules = [package.root for package in packages]
    roots = tuple(package.root for package in Debian(places).userland(Deadline(BOOT)))
    init = (guests_folder() / "setup" / "init.sh").read_bytes()
    (driver,) = [path for root in modules for path in root.rglob("virtio_blk.ko*")]
    parts = (
        initramfs.base(Userland(roots, init), modules, places).read_bytes(),
        initramfs.own(GuestKeys(make_key(folder / "key"), host)),
        archive([CpioEntry("modules/virtio_blk.ko", FILE, module_content(driver))]),
    )
    path = folder / "initrd"
    path.write_bytes(b"".join(parts))
    return path
