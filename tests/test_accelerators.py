"""Accelerators: trusted only after a trial, remembered for one boot of one machine."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.machine.places import Places
from harness.providers import accelerators, firmware
from harness.providers.accelerators import AcceleratorTrial, attempt, best, slow_factor, trials


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


def fake_qemu(folder: Path, script: str) -> Path:
    path = folder / "qemu"
    path.write_text(f"#!/bin/sh\necho run >>{folder}/runs\n{script}\n")
    path.chmod(0o755)
    return path


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def test_an_accelerator_works_if_the_firmware_says_so(tmp_path: Path) -> None:
    qemu = fake_qemu(tmp_path, f"exit {firmware.EXIT_STATUS}")
    assert attempt(qemu, "kvm") == AcceleratorTrial("kvm", None)


def test_an_accelerator_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerators, "TRY_SECONDS", 0.3)
    why = attempt(fake_qemu(tmp_path, "exec sleep 60"), "kvm").why
    assert why is not None
    assert "hangs" in why


def test_an_accelerator_that_aborts_says_why(tmp_path: Path) -> None:
    qemu = fake_qemu(tmp_path, "echo 'failed to set MSR' >&2; kill -ABRT $$")
    assert attempt(qemu, "kvm") == AcceleratorTrial("kvm", "failed to set MSR")
    assert attempt(fake_qemu(tmp_path, "exit 0"), "kvm").why == "QEMU ended with 0"


def test_the_first_that_works_is_taken_and_remembered(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerators, "CANDIDATES", {platform.system(): ("no", "yes")})
    script = f'case "$*" in *"accel yes"*) exit {firmware.EXIT_STATUS};; esac; exit 1'
    qemu = fake_qemu(tmp_path, script)
    assert best(qemu, places) == "yes"
    assert runs(tmp_path) == 2
    assert best(qemu, places) == "yes"
    assert runs(tmp_path) == 2


def test_another_qemu_is_tried_again(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerators, "CANDIDATES", {platform.system(): ("kvm",)})
    assert best(fake_qemu(tmp_path, "exit 1"), places) == "tcg"
    longer = fake_qemu(tmp_path, f"exit {firmware.EXIT_STATUS}")
    assert best(longer, places) == "kvm"


def test_a_damaged_memory_is_made_anew(places: Places, tmp_path: Path) -> None:
    (places.folder("accelerators") / "trials.json").write_text("{")
    found = trials(fake_qemu(tmp_path, "exit 1"), places)
    assert found[-1] == AcceleratorTrial("tcg", None)


def test_only_emulation_is_slow() -> None:
    assert slow_factor("tcg") == slow_factor("tcg,thread=single") > 1
    assert slow_factor("kvm") == slow_factor("hvf") == 1


def test_the_firmware_is_what_its_source_says(tmp_path: Path) -> None:
    if not (shutil.which("as") and shutil.which("objcopy")) or platform.machine() != "x86_64":
        pytest.skip("no binutils for amd64 here")
    (tmp_path / "f.S").write_text(firmware.SOURCE)
    for argv in (["as", "--64", "f.S", "-o", "f.o"], ["objcopy", "-O", "binary", "f.o", "f.bin"]):
        subprocess.run(
            [*argv, *(["-j", ".text"] if argv[0] == "objcopy" else [])], cwd=tmp_path, check=True
        )
    assert (tmp_path / "f.bin").read_bytes() == firmware.PROGRAM
    image = firmware.image()
    assert len(image) == firmware.SIZE
    assert image[firmware.RESET_VECTOR :].startswith(firmware.JUMP)
