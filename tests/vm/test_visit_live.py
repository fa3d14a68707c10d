"""The commands that enter a guest: `exec`, `exec --keep`, `shell` on a terminal, `stop`."""

import os
import pty
import re
import subprocess
import time
from pathlib import Path

import pytest
from live_command import MODULE, PATIENCE, Here, need_guest

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("visit")]

ONE = "linux-6.1"

PROMPT = re.compile(r"[#$] (\x1b\[6n)?$")
"""busybox may ask the terminal for the cursor's position (ECMA-48, DSR); no answer is needed."""

BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    need_guest(ONE)
    return Here(tmp_path)


def typed(here: Here, *lines: str) -> tuple[int, str]:
    """Type these lines into a shell in the guest, on a terminal; return its status and output."""
    ours, theirs = pty.openpty()
    argv = [*MODULE, "shell", ONE]
    environment = {**here.environment, "TERM": "xterm"}
    with subprocess.Popen(
        argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=here.folder,
        env=environment,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            text = conversation(ours, lines)
        finally:
            os.close(ours)
            until = time.monotonic() + 10
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            if process.poll() is None:
                process.kill()
    return process.returncode, text


def conversation(terminal: int, lines: tuple[str, ...]) -> str:
    """Type a line at each prompt, and read until the other end hangs up."""
    left, said, seen = list(lines), "", 0
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            said += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # EIO: no process has the terminal open any more (pty(7))
            return said
        if left and PROMPT.search(said, seen):
            seen = len(said)
            os.write(terminal, f"{left.pop(0)}\r".encode())
    pytest.fail(f"the shell did not end: {said}")


def test_a_command_in_a_guest_has_its_status_and_leaves_nothing(here: Here) -> None:
    ended = here("exec", ONE, "--", "sh", "-c", "uname -r; exit 7")
    assert ended.status == 7, ended.err
    assert ended.out.startswith("6.1.")
    assert here.left() == []


def test_a_kept_guest_is_visited_again_and_stopped(here: Here) -> None:
    try:
        first = here("exec", ONE, "--keep", "--", *BOOT_ID)
        assert first.status == 0, first.err
        assert len(here.machines()) == len(here.leases()) == 1
        assert here("gc").status == 0  # a kept guest has no living owner and is left alone
        again = here("exec", ONE, "--", *BOOT_ID)
        assert (again.status, again.out) == (0, first.out), again.err
        status, text = typed(here, "tty; echo is $((40 + 2))", " ".join(BOOT_ID), "exit 5")
        assert status == 5, text
        assert "is 42" in text
        assert "/dev/pts/" in text
        assert first.out.strip() in text
        assert len(here.machines()) == 1
    finally:
        stopped = here("stop", ONE)
    assert stopped.status == 0, stopped.err
    assert f"ended {ONE}" in stopped.out
    assert here.left() == []
    assert here("stop", ONE).status == 2  # no guest of that name is up


def test_a_shell_of_its_own_boots_and_ends_its_guest(here: Here) -> None:
    status, text = typed(here, "uname -r", "exit")
    assert status == 0, text
    assert "6.1." in text
    assert here.left() == []
