"""QEMU's monitor, faked by a thread."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import BootError
from harness.providers import reseed
from harness.providers.qemu.login_line import LoginLine
from harness.providers.qemu.qmp import Monitor

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 1}, "package": ""}}}
USERNET = (
    "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port\r\n"
    "  TCP[HOST_FORWARD]  12       127.0.0.1 45017       10.0.2.15    22     0     0\r\n"
)


def play(
    their: socket.socket, replies: Sequence[object], heard: list[bytes] | None = None
) -> Callable[[], None]:
    """Send the greeting, then a reply to each line, with events between; record the lines."""
    end = their.dup()

    def speak() -> None:
        end.sendall(json.dumps(GREETING).encode() + b"\r\n")
        reader = end.makefile()
        for reply in replies:
            line = reader.readline().encode()
            if heard is not None:
                heard.append(line)
            end.sendall(b'{"event": "RESUME"}\r\n')
            end.sendall(json.dumps(reply).encode() + b"\r\n")
        reader.close()
        end.close()

    thread = threading.Thread(target=speak)
    thread.start()
    return thread.join


def test_version_and_port_are_learnt() -> None:
    with Monitor() as monitor:
        join = play(monitor.theirs, [{"return": {}}, {"return": USERNET}])
        monitor.release()
        assert monitor.greet(Deadline(5), lambda: None) == "7.2.1"
        assert monitor.forwarded_port(Deadline(5), lambda: None) == 45017
        join()


@pytest.mark.parametrize(
    ("reply", "why"),
    [({"error": {"desc": "no"}}, "refuses"), ({"return": "nothing here"}, "no forwarded port")],
)
def test_an_answer_without_a_port_is_a_boot_error(reply: object, why: str) -> None:
    with Monitor() as monitor:
        join = play(monitor.theirs, [{"return": {}}, reply])
        monitor.release()
        monitor.greet(Deadline(5), lambda: None)
        with pytest.raises(BootError, match=why):
            monitor.forwarded_port(Deadline(5), lambda: None)
        join()


def test_a_monitor_that_closes_gives_the_reason_a_moment_later() -> None:
    reasons = iter([None, None, None, "QEMU ended with status 1"])
    with Monitor() as monitor:
        monitor.release()
        with pytest.raises(BootError, match="QEMU ended with status 1"):
            monitor.greet(Deadline(5), lambda: next(reasons))


def test_a_monitor_that_dies_with_our_question_unread_gives_the_reason() -> None:
    with Monitor() as monitor:
        greeting = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 1}}}}
        monitor.theirs.sendall(json.dumps(greeting).encode() + b"\r\n")

        calls = iter(range(9))

        def reason() -> str | None:
            """Report death at the second check, which is after the first question."""
            look = next(calls)
            if look == 1:
                monitor.theirs.close()
            return "QEMU ended with status 1" if look > 1 else None

        with pytest.raises(BootError, match="QEMU ended with status 1"):
            monitor.greet(Deadline(5), reason)


def test_a_monitor_that_says_nothing_is_not_waited_for_longer_than_told() -> None:
    with Monitor() as monitor, pytest.raises(BootError, match="does not answer"):
        monitor.greet(Deadline(0.3), lambda: None)


def test_a_guest_is_saved_whole_and_goes_on(tmp_path: Path) -> None:
    with Monitor() as monitor:
        heard: list[bytes] = []
        join = play(monitor.theirs, [{"return": {}}] * 5, heard)
        monitor.release()
        monitor.greet(Deadline(5), lambda: None)
        (tmp_path / "it's").write_bytes(b"memory")
        monitor.save(tmp_path / "it's", Deadline(5), lambda: None)
        join()
    commands = [json.loads(line)["execute"] for line in heard[1:]]
    assert commands == ["stop", "migrate-set-parameters", "migrate", "cont"]


def test_a_guest_that_is_not_saved_goes_on_all_the_same(tmp_path: Path) -> None:
    with Monitor() as monitor:
        failed = {"return": {"status": "failed", "error-desc": "no room"}}
        heard: list[bytes] = []
        join = play(monitor.theirs, [{"return": {}}] * 4 + [failed, {"return": {}}], heard)
        monitor.release()
        monitor.greet(Deadline(5), lambda: None)
        with pytest.raises(BootError, match="no room"):
            monitor.save(tmp_path / "memory", Deadline(5), lambda: None)
        join()
    commands = [json.loads(line)["execute"] for line in heard]
    assert commands[-1] == "cont"
    uri = json.loads(heard[3])["arguments"]["uri"]
    assert uri.startswith("exec:umask 077; cat >")
    assert str(tmp_path / "memory") in uri


def test_a_guest_that_was_kept_goes_on_once_it_is_read() -> None:
    with Monitor() as monitor:
        reading, paused = {"return": {"status": "inmigrate"}}, {"return": {"status": "paused"}}
        heard: list[bytes] = []
        join = play(monitor.theirs, [{"return": {}}, reading, paused, {"return": {}}], heard)
        monitor.release()
        monitor.greet(Deadline(5), lambda: None)
        monitor.go_on(Deadline(5), lambda: None)
        join()
    assert json.loads(heard[-1])["execute"] == "cont"


def test_a_guest_is_told_who_may_log_in_when_it_asks() -> None:
    with LoginLine() as line:
        guest = line.theirs.dup()
        line.release()
        guest.sendall(b"ready\r\n")
        line.until_ready(Deadline(5), lambda: None)
        guest.sendall(b"1700000000 seed echo of a terminal\r\nup 0\r\n")
        assert line.tell("HOSTKEY ssh-ed25519 KEY", Deadline(5), lambda: None)
        told = guest.recv(4096).decode().split(" ")
        assert abs(float(told[0]) - time.time()) < 5
        assert len(base64.b64decode(told[1])) == reseed.SEED_BYTES
        assert told[2:] == ["HOSTKEY", "ssh-ed25519", "KEY\n"]
        guest.sendall(b"up 25\r\n")
        assert not line.tell("x", Deadline(5), lambda: None)
        with pytest.raises(BootError, match="did not bring its network up"):
            line.until_ready(Deadline(0.2), lambda: None)
        with pytest.raises(BootError, match="panicked"):
            line.until_ready(Deadline(5), lambda: "the kernel panicked")
        guest.close()


def test_a_guest_goes_on_once_qemu_has_done_with_saving(tmp_path: Path) -> None:
    with Monitor() as monitor:
        refused = {"error": {"class": "GenericError", "desc": "Migration is not finalized yet"}}
        heard: list[bytes] = []
        join = play(monitor.theirs, [{"return": {}}] * 4 + [refused] * 2 + [{"return": {}}], heard)
        monitor.release()
        monitor.greet(Deadline(5), lambda: None)
        (tmp_path / "memory").write_bytes(b"memory")
        monitor.save(tmp_path / "memory", Deadline(5), lambda: None)
        join()
    assert [json.loads(line)["execute"] for line in heard[-3:]] == ["cont"] * 3
