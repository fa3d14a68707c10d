"""Console logs: read while they grow, with hostile content."""

from pathlib import Path

import pytest

from harness.providers.qemu import console
from harness.providers.qemu.console import KEPT, Console
from harness.text import plain


def test_only_this_boot_is_read(tmp_path: Path) -> None:
    path = tmp_path / "g" / "console.log"
    assert Console(path).text() == ""
    path.write_text("Kernel panic - not syncing: of the last boot\n")
    log = Console(path)
    assert log.panic() is None
    with path.open("a") as file:
        file.write("Linux version 6\n")
        file.flush()
        assert log.text() == "Linux version 6\n"
        file.write("[ 1.0] Kernel panic - not syncing: Attempted to kill init!\nmore\n")
    assert log.panic() == "Kernel panic - not syncing: Attempted to kill init!"
    assert log.tail().startswith("Linux version 6")


def test_controls_are_written_out() -> None:
    assert plain(b"a\x1b[2Jb\r\n\tc\x00\xff\x7f") == "a\\x1b[2Jb\n\tc\\x00\\xff\\x7f"


def test_a_flood_is_remembered_in_part(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    log = Console(path)
    path.write_bytes(b"x" * (3 * console.REMEMBERED) + b"end")
    while not log.text().endswith("end"):
        pass
    assert len(log.text()) == console.REMEMBERED
    assert len(log.tail()) == console.LAST_WORDS


def test_the_middle_of_a_flood_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"an earlier boot\n")
    console = Console(path)
    with path.open("ab") as log:
        log.write(b"first\n" + b"x" * (3 * KEPT) + b"\nlast")
    console.trim()
    kept = path.read_bytes()
    assert kept.startswith(b"an earlier boot\nfirst\nx")
    assert kept.endswith(b"x\nlast")
    assert b"\n[reuseport-matrix: " + str(2 * KEPT + 11).encode() + b" bytes" in kept
    assert len(kept) < KEPT + 200


def test_what_is_no_flood_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    console = Console(path)
    console.trim()
    path.write_bytes(b"x" * KEPT)
    console.trim()
    assert path.read_bytes() == b"x" * KEPT


def test_a_guest_that_floods_for_hours_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.providers.qemu.console.FLOOD", 6 << 20)
    console = Console(tmp_path / "console.log")
    most = 0
    with console.path.open("ab", buffering=0) as guest:  # append, as QEMU does
        guest.write(b"Linux version 6\n")
        for _ in range(40):
            guest.write(b"noise\n" * (1 << 17))
            console.text()
            most = max(most, console.path.stat().st_size)
        guest.write(b"Kernel panic - not syncing: at last\n")
        assert console.panic() == "Kernel panic - not syncing: at last"
    assert most < 8 << 20
    assert console.path.read_bytes().startswith(b"Linux version 6\n")
    assert "bytes of a flood were left out" in console.path.read_text()


def test_a_remark_is_not_the_guests(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.path.write_bytes(b"login: ")
    begin, end = console.note("typed root")
    assert console.path.read_bytes()[begin:end] == b"\n[reuseport-matrix: typed root]\n"


def test_what_is_secret_is_overwritten(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    secret = "AAAAC3NzaC1lZDI1NTE5"
    console.path.write_bytes(b"pw before pw\n")
    since = console.path.stat().st_size
    with console.path.open("ab", buffering=0) as guest:  # append, as QEMU does
        guest.write(f"pw {secret} AAAAC3Nz[ 1.0] usb\naC1lZDI1N\xff C3Nz\n".encode("latin-1"))
        assert secret in console.text()
        console.hide([secret, "pw", ""], since)
        guest.write(b"end\n")
    hidden = b"** ******************** ********[ 1.0] usb\n*********\xff C3Nz\nend\n"
    assert console.path.read_bytes() == b"pw before pw\n" + hidden
    assert "AAAA" not in console.text()
    assert console.text().endswith("end\n")


def test_a_secret_before_a_flood_is_overwritten_after_it_was_trimmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.providers.qemu.console.FLOOD", 6 << 20)
    console = Console(tmp_path / "console.log")
    console.path.write_bytes(b"x" * (5 << 20))
    since = console.path.stat().st_size
    with console.path.open("ab", buffering=0) as guest:
        guest.write(b"a secret of many characters\n" + b"y" * (1 << 20))
        console.text()
        console.hide(["secret of many characters"], since)
    assert b"secret" not in console.path.read_bytes()
