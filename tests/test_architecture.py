"""What machine this is, also where `uname` says that a 64-bit kernel is a 32-bit one."""

import ast
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.agent.binary import Platform
from harness.agent.build import NATIVE, host_target
from harness.machine import architecture
from harness.machine.architecture import machine, named

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("said", "name"),
    [("AMD64", "x86_64"), ("arm64", "aarch64"), ("i686", "x86"), ("s390x", "s390x")],
)
def test_a_machine_has_one_name(said: str, name: str) -> None:
    assert named(said) == name


@pytest.mark.parametrize(("said", "name"), [("i686", "x86_64"), ("armv8l", "aarch64")])
def test_a_64_bit_program_is_not_told_that_its_kernel_has_32(
    said: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.maxsize < 1 << 32:
        pytest.skip("this interpreter is a 32-bit program")
    monkeypatch.setattr(platform, "machine", lambda: said)
    monkeypatch.setattr(architecture, "KERNEL", tmp_path / "before 6.1")
    assert machine() == name


def test_a_personality_changes_nothing() -> None:
    """setarch(8), as in a 32-bit container on a 64-bit kernel."""
    if machine() != "x86_64" or shutil.which("setarch") is None:
        pytest.skip("this is no x86_64 machine, or it has no setarch(8)")
    code = "from harness.agent.build import host_target; print(host_target())"
    argv = ["setarch", "i686", sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == host_target(), done.stderr
    assert host_target() == NATIVE or host_target().startswith("x86_64-")


def test_only_the_kernel_refuses_a_program_that_it_may_run() -> None:
    ours, guest = Platform("Linux", "x86_64"), Platform("Linux", "x86")
    assert ours.fits(guest)
    assert not guest.fits(ours)
    assert not Platform("Linux", "aarch64").fits(guest)


def test_one_place_asks_what_the_machine_is() -> None:
    asking = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "harness").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("platform", "machine"), ("os", "uname")}
    }
    assert asking == {"harness/machine/architecture.py"}
