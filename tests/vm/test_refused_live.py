"""Guests that cannot be started: refused, missing or dead. The reason is shown, not a verdict."""

import os
import re
import time
from pathlib import Path

import pytest
from live_command import Ended, Here, need_guest

from harness.model import State
from harness.providers.qemu.command import PROGRAM

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("refused")]

ONE = "linux-6.1"

DEBIAN = "debian: {suites: [bookworm], package: linux-image-cloud-amd64}"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    need_guest(ONE)
    return Here(tmp_path)


def write_guest(here: Here, *keys: str) -> None:
    """Write a user's guest file, named `mine`."""
    folder = here.folder / "guests"
    folder.mkdir()
    body = "".join(f"  {key}\n" for key in keys)
    head = "name: mine\nsystem: Linux\nagent: {target: x86_64-linux-musl}\nqemu:\n"
    (folder / "mine.yaml").write_text(head + body)


def run_mine(here: Here) -> Ended:
    ended = here("run", "mine", "--guests", "guests", "--scenario", "last-gone", "--out", "run")
    assert here.left() == []
    assert "Traceback" not in ended.err
    return ended


def only_failures(here: Here) -> set[str | None]:
    """Check that no cell has a verdict; return the reasons."""
    cells = here.matrix().cells
    assert cells
    assert {(cell.state, cell.verdict) for cell in cells} == {(State.INFRASTRUCTURE, None)}
    return {cell.why for cell in cells}


def console(here: Here) -> Path:
    return here.folder / "run" / "guests" / "mine" / "console.log"


def test_a_kernel_with_another_sha256_is_refused_and_not_booted(here: Here) -> None:
    write_guest(here, DEBIAN, f"kernel_sha256: {'ab' * 32}")
    ended = run_mine(here)
    assert ended.status == 3, ended.err
    (why,) = only_failures(here)
    assert "refused" in str(why)
    assert "ab" * 32 in str(why)
    assert not console(here).exists() or console(here).read_bytes() == b""


def test_a_panic_is_seen_at_once_with_the_consoles_tail(here: Here) -> None:
    write_guest(here, DEBIAN, "append: rdinit=/bin/false", "boot_timeout: 100")
    began = time.monotonic()
    ended = run_mine(here)
    assert time.monotonic() - began < 90
    assert ended.status == 3, ended.err
    (why,) = only_failures(here)
    panic = "the kernel panicked: Kernel panic - not syncing"
    assert re.match(rf"boot after \d+\.\d s: {panic}", str(why)), why
    assert "console: " in ended.err
    assert "Linux version" in console(here).read_text(errors="replace")


def test_a_file_that_is_no_kernel_never_boots(here: Here) -> None:
    (here.folder / "noise").write_bytes(os.urandom(1 << 16))
    modules = here.folder / "modules"
    modules.mkdir()
    write_guest(here, f"kernel: {here.folder}/noise", f"modules: {modules}", "boot_timeout: 3")
    ended = run_mine(here)
    assert ended.status == 3, ended.err
    (why,) = only_failures(here)
    assert str(why).startswith("boot after "), why


def path_without_qemu(folder: Path) -> str:
    """Make a folder with every command of this machine except QEMU; return it as a PATH."""
    folder.mkdir()
    for place in os.get_exec_path():
        for path in Path(place).glob("*"):
            if not path.name.startswith("qemu-") and not (folder / path.name).is_symlink():
                (folder / path.name).symlink_to(path)
    return str(folder)


def test_without_qemu_the_guest_is_not_run_and_the_host_goes_on(tmp_path: Path) -> None:
    here = Here(tmp_path, {"PATH": path_without_qemu(tmp_path / "bin")})
    words = ("--scenario", "last-gone", "--out")
    named = here("run", "host", ONE, *words, "run")
    assert named.status == 3, named.err
    states = {cell.guest: set[State]() for cell in here.matrix().cells}
    for cell in here.matrix().cells:
        states[cell.guest].add(cell.state)
    assert states["host"] <= {State.MEASURED, State.NOT_APPLICABLE}
    assert states[ONE] == {State.NOT_RUN}
    assert f"{PROGRAM} not found" in named.err
    assert "doctor" in named.err
    whatever = here("run", "host", *words, "second")
    assert whatever.status == 0, whatever.err
    available = here("run", "available", *words, "third")
    assert available.status == 0, available.err
    measured = set(here.matrix("third").guests)
    assert "host" in measured
    # gVisor needs no QEMU either: it is there if this machine's archive has its package.
    assert all(name == "host" or name.startswith("gvisor-") for name in measured), measured
    assert here.left() == []
