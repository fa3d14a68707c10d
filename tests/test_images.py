"""What guests are booted from: checked, and never written."""

import hashlib
import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.model import Qemu, Ssh
from harness.places import Places
from harness.providers.images import disk_sha256, make_key, prepare, read_key, refusal

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def machine(tmp_path: Path) -> Qemu:
    make_key(tmp_path / "key")
    disk = tmp_path / "a disk.img"
    disk.write_bytes(b"sector" * 1024)
    return Qemu(disk=str(disk), disk_format="raw", ssh=Ssh(key=str(tmp_path / "key")))


def test_a_key_is_closed_to_others_and_can_be_read_again(tmp_path: Path) -> None:
    made = make_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert read_key(tmp_path / "key").asbytes() == made.asbytes()


def test_a_file_that_is_no_key_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("rubbish")
    for path in (tmp_path / "key", tmp_path / "none"):
        with pytest.raises(NotRunError, match="no usable private key"):
            read_key(path)


@needs_qemu_img
def test_a_disk_is_given_as_an_overlay(places: Places, machine: Qemu, tmp_path: Path) -> None:
    made = prepare(machine, places, tmp_path, Deadline(30))
    assert made.disk is not None
    assert machine.disk is not None
    said = subprocess.run(
        ["qemu-img", "info", "--output=json", made.disk], capture_output=True, check=True
    )
    facts = json.loads(said.stdout)
    assert (facts["format"], facts["backing-filename"]) == ("qcow2", machine.disk)
    assert facts["backing-filename-format"] == "raw"
    expected = hashlib.sha256(Path(machine.disk).read_bytes()).hexdigest()
    assert made.provenance == {"disk_sha256": expected}
    assert made.host_key is None


@needs_qemu_img
def test_the_format_of_a_disk_is_found(places: Places, machine: Qemu, tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2x"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"]
    subprocess.run(argv, check=True)
    guest = replace(machine, disk=str(disk), disk_format=None)
    made = prepare(guest, places, tmp_path, Deadline(30))
    said = subprocess.run(
        ["qemu-img", "info", "--output=json", str(made.disk)], capture_output=True, check=True
    )
    assert json.loads(said.stdout)["backing-filename-format"] == "qcow2"


def test_a_disk_of_another_sha256_is_refused(places: Places, machine: Qemu, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="refused"):
        prepare(replace(machine, disk_sha256="0" * 64), places, tmp_path, Deadline(30))


def test_a_changed_disk_is_hashed_again(places: Places, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"one")
    assert disk_sha256(disk, places) == hashlib.sha256(b"one").hexdigest()
    disk.write_bytes(b"other")
    assert disk_sha256(disk, places) == hashlib.sha256(b"other").hexdigest()


def test_a_disk_needs_a_key_and_the_tool_that_protects_it(
    machine: Qemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "qemu-img").touch(0o755)
    monkeypatch.setenv("PATH", str(tools))  # whether or not this machine has the tool
    assert "ssh" in (refusal(replace(machine, ssh=Ssh())) or "")
    assert "there is no /none" in (refusal(replace(machine, disk="/none")) or "")
    monkeypatch.setenv("PATH", "")
    assert "qemu-img" in (refusal(machine) or "")
