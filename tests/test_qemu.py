"""The `qemu` provider when a guest dies: reported at once with a reason, and nothing is left."""

import hashlib
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from harness import leases
from harness.deadline import Cancellation, Deadline
from harness.errors import BootError, ImageError, NotRunError
from harness.machine import architecture, loopback
from harness.machine.places import Places
from harness.model import AgentSource, DebianKernel, Guest, Image, Ssh
from harness.model.guest import Qemu
from harness.providers.fetch import http
from harness.providers.qemu.boot import QemuBoot
from harness.providers.qemu.command import PROGRAM
from harness.providers.qemu.images import Images
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop
from harness.transport.keys import make_key

FAKE = Path(__file__).parent / "fake_qemu.py"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    places = Places(tmp_path / "cache", tmp_path / "state")
    return Workshop(places, lambda name: tmp_path / name / "console.log")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts the fake QEMU first on PATH, in a mode."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / PROGRAM).symlink_to(FAKE)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return lambda mode: monkeypatch.setenv("FAKE_QEMU", mode)


@pytest.fixture
def machine(tmp_path: Path) -> Qemu:
    """A guest with its own kernel and initrd, so nothing is downloaded."""
    make_key(tmp_path / "key")
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_bytes(name.encode())
    return Qemu(
        kernel=str(tmp_path / "kernel"),
        initrd=str(tmp_path / "initrd"),
        accelerator="kvm",
        ssh=Ssh(key=str(tmp_path / "key")),
        boot_timeout=3.0,
    )


def guest(machine: Qemu | None) -> Guest:
    return Guest("g", "s", AgentSource(target="host"), qemu=machine)


def failure(workshop: Workshop, machine: Qemu, deadline: Deadline | None = None) -> BootError:
    """Return the error of a boot that fails; check that nothing is left."""
    boot = QemuProvider(workshop).boot(guest(machine), deadline or Deadline(30))
    with pytest.raises(BootError) as caught, boot:
        pytest.fail("this guest cannot come up")
    assert not leases.leases(workshop.places)
    assert not list((workshop.places.state / "guests").iterdir())
    for process in psutil.Process().children(recursive=True):
        assert PROGRAM not in " ".join(process.cmdline())
    return caught.value


def test_a_qemu_that_ends_at_once_says_why(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("exit")
    error = failure(workshop, machine)
    assert "QEMU ended with status 1: qemu: could not open what it needs\\x1b[2J" in str(error)
    log = workshop.consoles("g").with_name("console.qemu.log")
    assert "could not open" in log.read_text()


def test_a_qemu_that_ends_without_a_word_names_likely_causes(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("quiet")
    error = failure(workshop, replace(machine, memory=48, boot_timeout=30.0))
    assert (
        str(error)
        == "the guest restarted or switched off before it printed anything, so QEMU ended"
    )
    assert "too little `memory` (it has 48 MiB)" in str(error.hint)
    fake("killed")
    error = failure(workshop, replace(machine, boot_timeout=30.0))
    assert "QEMU was ended by SIGKILL" in str(error)
    assert "want of memory" in str(error.hint)


def test_a_guest_that_never_prints_names_likely_causes(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("blank")
    error = failure(workshop, replace(machine, cpu="486", boot_timeout=5.0))
    assert "within 5 s" in str(error)
    assert "a `cpu` that the kernel does not run on (486)" in str(error.hint)


def test_without_a_loopback_interface_nothing_is_started(
    workshop: Workshop,
    machine: Qemu,
    fake: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake("silent")
    monkeypatch.setattr(loopback, "ADDRESS", "192.0.2.1")  # RFC 5737: nobody has it
    reason = QemuProvider(workshop).refusal(guest(machine)) or ""
    assert reason.startswith("this machine's loopback interface does not work: ")
    boot = QemuProvider(workshop).boot(guest(machine), Deadline(5))
    with pytest.raises(NotRunError, match="loopback") as caught, boot:
        pytest.fail("it was started")
    assert "ip link set lo up" in str(caught.value.hint)


def test_a_panic_is_noticed_at_once(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("panic")
    began = time.monotonic()
    error = failure(workshop, replace(machine, boot_timeout=60.0))
    assert time.monotonic() - began < 10
    assert "Kernel panic - not syncing: VFS: Unable to mount root fs" in str(error)
    assert error.console.startswith("Linux version 0")


def test_a_guest_that_never_speaks_ends_at_its_boot_timeout(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("silent")
    began = time.monotonic()
    error = failure(workshop, machine)
    assert 1 <= time.monotonic() - began < 10
    assert "within 3 s" in str(error)


def test_a_qemu_without_a_monitor_ends_at_the_boot_timeout(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("mute")
    assert "monitor does not answer" in str(failure(workshop, machine))


def test_an_interrupted_boot_ends_at_once(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("silent")
    cancellation = Cancellation()
    timer = threading.Timer(0.7, cancellation.say)
    timer.start()
    began = time.monotonic()
    failure(workshop, replace(machine, boot_timeout=60.0), Deadline(60, cancellation))
    assert time.monotonic() - began < 5
    timer.join()


def test_a_path_that_no_file_can_have_is_a_file_that_is_missing(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    kernel = "/" + "x" * 300
    reason = QemuProvider(workshop).refusal(guest(replace(machine, kernel=kernel)))
    assert reason == f"{kernel} does not exist"


def test_emulation_is_given_more_time(machine: Qemu, workshop: Workshop) -> None:
    with leases.hold(workshop.places, "g") as tenancy:
        made = Images(make_key(tenancy.folder / "k"), "", {"kernel_sha256": "ab"})
        slow = QemuBoot(guest(machine), machine, made, "tcg", tenancy, keep=False)
        fast = QemuBoot(guest(machine), machine, made, "kvm", tenancy, keep=False)
    assert slow.factor > fast.factor == 1
    assert slow.provenance("7")["kernel_sha256"] == "ab"
    assert slow.provenance("7")["slow_factor"] == "4"


def test_a_kernel_of_another_sha256_is_refused(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("silent")
    wrong = replace(machine, kernel_sha256="0" * 64)
    boot = QemuProvider(workshop).boot(guest(wrong), Deadline(30))
    with pytest.raises(ImageError, match="refused"), boot:
        pytest.fail("a wrong kernel was booted")
    right = replace(machine, kernel_sha256=hashlib.sha256(b"kernel").hexdigest().upper())
    assert "within 3 s" in str(failure(workshop, right))


def test_what_is_missing_is_said_before_anything_is_tried(
    workshop: Workshop,
    machine: Qemu,
    fake: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = QemuProvider(workshop)
    refusal = provider.refusal
    assert "no `qemu` section" in (refusal(guest(None)) or "")
    assert "/none does not exist" in (refusal(guest(replace(machine, kernel="/none"))) or "")
    assert "ssh" in (refusal(guest(replace(machine, ssh=Ssh()))) or "")
    assert refusal(guest(machine)) is None
    packaged = Qemu(debian=DebianKernel(("a-suite",), "a-package"))
    monkeypatch.setattr(architecture, "KERNEL", Path("/none"))
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "only for amd64" in (refusal(guest(packaged)) or "")
    monkeypatch.setenv("PATH", "")
    assert f"{PROGRAM} not found" in (refusal(guest(machine)) or "")
    with pytest.raises(NotRunError) as caught, provider.boot(guest(machine), Deadline(5)):
        pytest.fail("there is no QEMU")
    assert "doctor" in (caught.value.hint or "")
    assert not leases.leases(workshop.places)


def test_an_image_is_announced_before_it_is_downloaded(workshop: Workshop) -> None:
    provider = QemuProvider(workshop)
    image = Image("http://127.0.0.1:1/disk.xz", sha256="0" * 64, unchecked=True)
    wanted = guest(Qemu(image=image, seed="nocloud"))
    assert provider.download(wanted) == f"{image.url} (address unchecked)"
    assert provider.download(guest(Qemu(disk="/disk"))) is None
    assert provider.download(guest(None)) is None


def test_an_image_that_cannot_be_had_starts_nothing(
    workshop: Workshop,
    fake: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake("silent")
    monkeypatch.setattr(http, "PAUSE", 0.01)
    (tmp_path / "bin" / "qemu-img").symlink_to("/bin/true")
    image = Image("http://127.0.0.1:1/disk.xz", sha256="0" * 64)
    boot = QemuProvider(workshop).boot(guest(Qemu(image=image, seed="nocloud")), Deadline(1))
    with pytest.raises(ImageError, match=r"disk\.xz"), boot:
        pytest.fail("there is no image")
    assert not leases.leases(workshop.places)


def test_a_guest_of_another_architecture_is_refused(
    workshop: Workshop, machine: Qemu, fake: Callable[[str], None]
) -> None:
    fake("silent")
    other = replace(guest(machine), architecture="aarch64")
    assert "not aarch64" in (QemuProvider(workshop).refusal(other) or "")
