"""QEMU's monitor, played by a thread."""

import json
import socket
import threading
from collections.abc import Callable, Sequence

import pytest

from harness.deadline import Deadline
from harness.errors import BootError
from harness.providers.qemu.qmp import Monitor

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 1}, "package": ""}}}
USERNET = (
    "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port\r\n"
    "  TCP[HOST_FORWARD]  12       127.0.0.1 45017       10.0.2.15    22     0     0\r\n"
)


def play(their: socket.socket, replies: Sequence[object]) -> Callable[[], None]:
    """Greet, then give one reply to each line, events in between."""
    end = their.dup()

    def speak() -> None:
        end.sendall(json.dumps(GREETING).encode() + b"\r\n")
        reader = end.makefile()
        for reply in replies:
            reader.readline()
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
            """Die at the second look: it is after the first question."""
            look = next(calls)
            if look == 1:
                monitor.theirs.close()
            return "QEMU ended with status 1" if look > 1 else None

        with pytest.raises(BootError, match="QEMU ended with status 1"):
            monitor.greet(Deadline(5), reason)


def test_a_monitor_that_says_nothing_is_not_waited_for_longer_than_told() -> None:
    with Monitor() as monitor, pytest.raises(BootError, match="does not answer"):
        monitor.greet(Deadline(0.3), lambda: None)
