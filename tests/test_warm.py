"""Saved states of guests: complete or absent, limited in size, named by all that they depend on."""

import errno
import os
import secrets
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.errors import BootError
from harness.machine import cache
from harness.machine.files import remember
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.console_step import ConsoleStep
from harness.model.guest import Qemu, Ssh
from harness.providers import reseed
from harness.providers.qemu import warm
from harness.providers.qemu.boot import QemuBoot
from harness.providers.qemu.images import Images
from harness.providers.qemu.warm import WarmState, identities, state_of
from harness.transport.keys import make_key

DAY = 86400.0


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


def keep(state: WarmState, content: bytes = b"memory") -> None:
    def save(path: Path) -> None:
        path.write_bytes(content)

    state.keep(b"booting\n", save)


def test_a_kept_guest_is_found_again_with_what_its_console_said(
    places: Places, tmp_path: Path
) -> None:
    state = state_of(["kernel", "initramfs"], places)
    assert not state.take()
    keep(state)
    again = state_of(["kernel", "initramfs"], places)
    assert again.take()
    assert again.memory.read_bytes() == b"memory"
    assert stat.S_IMODE(again.folder.stat().st_mode) == 0o700
    again.replay(tmp_path / "run" / "console.log")
    said = (tmp_path / "run" / "console.log").read_text()
    assert said.startswith("booting\n[reuseport-matrix: ")
    assert not state_of(["kernel", "other"], places).take()


def test_what_cannot_be_saved_leaves_nothing(places: Places) -> None:
    state = state_of(["kernel"], places)

    def fails(path: Path) -> None:
        path.with_suffix(".part").write_bytes(b"half")
        raise BootError("no room")

    with pytest.raises(BootError):
        state.keep(b"", fails)
    assert not state.take()
    assert list(state.folder.parent.iterdir()) == []


def test_of_two_who_keep_the_same_guest_the_first_wins(places: Places) -> None:
    first, second = state_of(["kernel"], places), state_of(["kernel"], places)
    keep(first, b"first")
    keep(second, b"second")
    assert second.memory.read_bytes() == b"first"
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]


def age_of(state: WarmState, moment: int) -> None:
    """Let a state be used last at this time (seconds since the epoch)."""
    for path in (state.folder / "memory", state.folder / "console.log"):
        os.utime(path, (moment, moment))
    remember(state.folder / warm.SEAL, identities(state.folder))
    os.utime(state.folder / warm.SEAL, (moment, moment))
    os.utime(state.folder, (moment, moment))


@pytest.mark.parametrize("damage", ["short", "changed", "missing", "unsealed"])
def test_a_saved_state_that_changed_is_not_resumed(
    places: Places, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_of(["kernel"], places)
    keep(state, b"memory")
    before = state.memory.stat()
    if damage == "unsealed":
        (state.folder / warm.SEAL).unlink()
    elif damage == "missing":
        state.memory.unlink()
    else:
        state.memory.write_bytes(b"memo" if damage == "short" else b"MEMORY")
        os.utime(state.memory, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not state.take()
    assert not state.folder.exists()
    assert "is not what was saved there" in caplog.text


def test_the_states_used_longest_ago_go_when_there_is_no_room(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "LIMIT", (3 << 20) + (1 << 16))
    states = [state_of([str(number)], places) for number in range(3)]
    for age, state in enumerate(states):
        keep(state, b"x" * (1 << 20))
        age_of(state, 1000 + age)
    assert states[0].take()  # which marks it as used
    keep(state_of(["new"], places), b"x" * (1 << 20))
    assert [state.take() for state in states] == [True, False, True]


def test_what_a_killed_run_began_to_keep_goes(places: Places) -> None:
    folder = places.folder("warm")
    for name, age in (("old", 2 * warm.ABANDONED_SECONDS), ("new", 0.0)):
        begun = folder / f"{warm.SCRATCH}{name}"
        begun.mkdir()
        moment = begun.stat().st_mtime - age
        os.utime(begun, (moment, moment))
    keep(state_of(["kernel"], places))
    assert sorted(path.name for path in folder.glob(".*")) == [".new"]


def test_a_guest_is_kept_under_a_name_for_all_that_it_depends_on(
    places: Places, tmp_path: Path
) -> None:
    make_key(tmp_path / "key")
    program = tmp_path / "qemu"
    program.write_bytes(b"7.2")
    guest = Guest("g", "Linux", AgentSource(target="host"))
    facts = {"kernel_sha256": "k", "initramfs_sha256": "i"}
    made = Images(None, "key", facts, Path("/k"), Path("/i"), told="keys")  # type: ignore[arg-type]
    boot = QemuBoot(guest, Qemu(), made, "tcg", None, keep=False)  # type: ignore[arg-type]

    def name(boot: QemuBoot) -> str:
        state = boot.keepable(program, places)
        assert state is not None
        return state.folder.name

    others = [
        replace(boot, qemu=Qemu(memory=512)),
        replace(boot, qemu=Qemu(cpu="Nehalem")),
        replace(boot, qemu=Qemu(append="quiet")),
        replace(boot, qemu=Qemu(nic="e1000")),
        replace(boot, accelerator="kvm"),
        replace(boot, made=replace(made, provenance={**facts, "kernel_sha256": "other"})),
        replace(boot, made=replace(made, provenance={**facts, "initramfs_sha256": "other"})),
    ]
    names = [name(boot), *map(name, others)]
    assert len(set(names)) == len(names)
    elsewhere = replace(boot, made=replace(made, kernel=Path("/elsewhere"), private="other"))
    assert name(elsewhere) == names[0]
    program.write_bytes(b"10.0 ")
    assert name(boot) != names[0]


def test_a_guest_with_files_of_its_own_is_not_kept(places: Places, tmp_path: Path) -> None:
    guest = Guest("g", "Linux", AgentSource(target="host"))
    made = Images(None, "key", {}, told=None)  # type: ignore[arg-type]
    boot = QemuBoot(guest, Qemu(), made, "tcg", None, keep=False)  # type: ignore[arg-type]
    assert boot.keepable(tmp_path, places) is None
    more = replace(boot, qemu=Qemu(arguments=("-device", "x")), made=replace(made, told="keys"))
    assert more.keepable(tmp_path, places) is None


@pytest.mark.skipif(shutil.which("as") is None, reason="no assembler here")
def test_the_reseeding_program_is_what_its_source_says(tmp_path: Path) -> None:
    objects, code = tmp_path / "o", tmp_path / "code"
    source = reseed.SOURCE.encode()
    subprocess.run(["as", "--64", "-o", str(objects), "-"], input=source, check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", objects, code], check=True)
    assert code.read_bytes() == reseed.CODE


def test_the_reseeding_program_runs(tmp_path: Path) -> None:
    if os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        pytest.skip("a program for Linux on x86_64")
    program = tmp_path / "reseed"
    program.write_bytes(reseed.program())
    program.chmod(0o700)
    for seed, status in ((b"", 255), (bytes(reseed.SEED_BYTES), 256 - errno.ENOTTY)):
        done = subprocess.run([program], input=seed, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == status


def test_a_seed_is_credited_by_the_kernel_and_used_at_once(tmp_path: Path) -> None:
    """A wrong `struct rand_pool_info` would be EINVAL or EFAULT."""
    if os.uname().machine != "x86_64" or not os.access("/dev/urandom", os.W_OK) or os.geteuid():
        pytest.skip("needs root on Linux, x86_64")
    program = tmp_path / "reseed"
    program.write_bytes(reseed.program())
    program.chmod(0o700)
    seed = secrets.token_bytes(reseed.SEED_BYTES)
    with open("/dev/urandom", "wb") as device:
        done = subprocess.run([program], input=seed, stdout=device, check=False)
    assert done.returncode == 0


def filled(places: Places, name: str, age: float, now: float, size: int = 1 << 20) -> Path:
    path = places.folder(Path(name).parts[0]) / Path(name).name
    path.write_bytes(b"x" * size)
    os.utime(path, (now - age, now - age))
    return path


def test_the_cache_loses_what_is_old_and_then_what_was_unused_longest(places: Places) -> None:
    now = 1e9
    old = filled(places, "kernels/old", 31 * DAY, now)
    unused = filled(places, "initramfs/unused", 9 * DAY, now)
    recent = filled(places, "kernels/recent", 5 * DAY, now)
    used = filled(places, "agents/used", 0.5 * DAY, now)
    locks = filled(places, "locks/mine.lock", 90 * DAY, now)
    assert cache.prune(places, 4 << 20, now) == 1 << 20
    assert [path.exists() for path in (old, unused, recent, used)] == [False, True, True, True]
    assert cache.prune(places, 2 << 20, now) == 1 << 20
    assert [path.exists() for path in (unused, recent, used)] == [False, True, True]
    assert cache.prune(places, 0, now) == 1 << 20  # only one: a run may be using the other
    assert [path.exists() for path in (recent, used, locks)] == [False, True, True]


def test_folders_of_the_cache_go_whole(places: Places) -> None:
    root = places.folder("packages", "linux_1", "usr")
    (root / "file").write_bytes(b"x" * 8192)
    for path in (root / "file", root, root.parent):
        os.utime(path, (1000, 1000))
    assert cache.prune(places) >= 8192
    assert not root.parent.exists()


def test_an_empty_cache_has_nothing_to_lose(places: Places) -> None:
    assert cache.prune(places) == 0


def test_a_disk_that_was_typed_on_is_found_by_all_that_it_depends_on(places: Places) -> None:
    guest = Guest("g", "NetBSD", AgentSource(target="host"))
    made = Images(
        None,  # type: ignore[arg-type]
        "key",
        {"disk_sha256": "d"},
        disk=Path("/boot/disk.qcow2"),
        backing=Path("/image"),
    )
    steps = (ConsoleStep(wait="login:", send="root"),)
    boot = QemuBoot(guest, Qemu(console=steps), made, "tcg", None, keep=False)  # type: ignore[arg-type]

    def name(boot: QemuBoot) -> str:
        disk = boot.typable(places)
        assert disk is not None
        assert disk.folder.parent.name == "typed"
        return disk.folder.name

    others = [
        replace(boot, qemu=Qemu(console=(ConsoleStep(wait="login:", send="toor"),))),
        replace(boot, qemu=Qemu(console=steps, nic="e1000")),
        replace(boot, qemu=Qemu(console=steps, disk_size=9)),
        replace(boot, qemu=Qemu(console=steps, arguments=("-device", "x"))),
        replace(boot, qemu=Qemu(console=steps, ssh=Ssh(user="me"))),
        replace(boot, made=replace(made, provenance={"disk_sha256": "other"})),
    ]
    names = [name(boot), *map(name, others)]
    assert len(set(names)) == len(names)
    same = replace(boot, accelerator="kvm", qemu=Qemu(console=steps, memory=1024, cpu="host"))
    assert name(same) == names[0]
    assert replace(boot, qemu=Qemu()).typable(places) is None


def test_typed_disks_and_saved_guests_have_room_of_their_own(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "LIMIT", (1 << 20) + (1 << 16))
    saved, disk = state_of(["guest"], places), state_of(["guest"], places, "typed")
    keep(saved, b"x" * (1 << 20))
    keep(disk, b"x" * (1 << 20))
    assert (saved.take(), disk.take()) == (True, True)
