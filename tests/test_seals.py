"""What is in the cache is what was put there, or it is made anew."""

import logging
import os
from pathlib import Path

import pytest

from harness.machine import seals
from harness.machine.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


def in_place(path: Path, content: bytes) -> None:
    """Change a file's content and put its times back, as a damage would leave them."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_was_sealed_is_unbroken_until_it_changes(
    places: Places, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "entry"
    path.write_bytes(b"content")
    assert seals.unbroken(path, places) is None
    assert not seals.is_broken(path, places)
    found = seals.seal(path, places)
    assert seals.unbroken(path, places) == seals.unbroken(path, places, afresh=True) == found
    os.utime(path, ns=(1, 1))
    assert seals.unbroken(path, places) == found
    assert not caplog.text
    in_place(path, b"CONTENT")
    assert seals.unbroken(path, places) is None
    assert seals.is_broken(path, places)
    assert f"{path} is not what was put into the cache" in caplog.text
    assert seals.seal(path, places) != found
    assert seals.unbroken(path, places) is not None


@pytest.mark.parametrize("damage", ["short", "changed", "missing", "more", "link", "pipe"])
def test_a_folder_is_what_all_its_files_are(
    places: Places, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "package"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "busybox").write_bytes(b"program")
    (folder / "bin" / "sh").symlink_to("busybox")
    (folder / "lib").symlink_to("usr/lib")
    found = seals.seal(folder, places)
    assert seals.unbroken(folder, places) == found
    program = folder / "bin" / "busybox"
    if damage == "short":
        program.write_bytes(b"prog")
    elif damage == "changed":
        in_place(program, b"PROGRAM")
    elif damage == "more":
        (folder / "bin" / "other").write_bytes(b"")
    else:
        program.unlink()
    if damage == "link":
        program.symlink_to("/dev/zero")
    elif damage == "pipe":
        os.mkfifo(program)
    assert seals.unbroken(folder, places) is None
    assert seals.is_broken(folder, places)


def test_a_cache_that_was_moved_keeps_its_seals(places: Places, tmp_path: Path) -> None:
    path = places.folder("kernels") / "vmlinux"
    path.write_bytes(b"content")
    found = seals.seal(path, places)
    (tmp_path / "cache").rename(tmp_path / "moved")
    moved = Places(tmp_path / "moved", tmp_path / "state")
    assert seals.unbroken(moved.cache / "kernels" / "vmlinux", moved) == found


def test_an_entry_that_is_gone_is_not_unbroken(places: Places, tmp_path: Path) -> None:
    path = tmp_path / "entry"
    path.write_bytes(b"content")
    seals.seal(path, places)
    path.unlink()
    assert seals.unbroken(path, places) is None
