"""A session on a terminal, or between files: bytes go both ways, and its status is returned."""

import errno
import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ssh_server import SshServer, serving

from harness.deadline import Deadline
from harness.transport import SshTransport
from harness.transport.terminal import Terminal


def connect(server: SshServer, seconds: float = 10) -> SshTransport:
    return SshTransport.connect(
        "127.0.0.1", server.port, "root", server.user_key, server.host_key, Deadline(seconds), {}
    )


@pytest.fixture
def server() -> Iterator[SshServer]:
    with serving() as made:
        yield made


def on_terminal(talk: Callable[[int, int], int], typed: bytes, until: bytes) -> tuple[int, bytes]:
    """Run `talk` on a pseudo-terminal and type `typed`; return its status and the screen."""
    keyboard, screen = pty.openpty()
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(talk(screen, keyboard)))
    thread.start()
    os.write(keyboard, typed)
    shown = b""
    while until not in shown:
        shown += os.read(keyboard, 65536)
    thread.join(10)
    os.close(screen)
    os.close(keyboard)
    return status[0], shown


def test_a_session_on_a_terminal_is_relayed_with_its_status(server: SshServer) -> None:
    transport = connect(server)

    def talk(screen: int, keyboard: int) -> int:
        return transport.interactive(None, Terminal(screen, screen, screen))

    status, shown = on_terminal(talk, b"echo in-$((40+2))\nexit 5\n", b"in-42")
    assert status == 5
    assert b"in-42" in shown
    assert server.sizes
    transport.close()


def test_a_session_without_a_terminal_takes_a_file_as_input(
    server: SshServer, tmp_path: Path
) -> None:
    content = os.urandom(1 << 20)
    (tmp_path / "in").write_bytes(content)
    transport = connect(server)
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        terminal = Terminal(source.fileno(), sink.fileno(), sink.fileno())
        assert transport.interactive(["sh", "-c", "cat; exit 4"], terminal) == 4
    assert (tmp_path / "out").read_bytes() == content
    transport.close()


def piped(server: SshServer, argv: list[str], sink: int) -> int:
    transport = connect(server)
    try:
        with open(os.devnull, "rb") as source:
            return transport.interactive(argv, Terminal(source.fileno(), sink, sink))
    finally:
        transport.close()


@pytest.mark.parametrize("redirect", ["", ">&2"])
def test_a_reader_that_goes_away_ends_the_session_quietly(server: SshServer, redirect: str) -> None:
    """As in `exec GUEST -- cat BIG | head -1`: the status is that of SIGPIPE, as with ssh."""
    reader, sink = os.pipe()
    os.close(reader)
    began = time.monotonic()
    assert piped(server, ["sh", "-c", f"yes {redirect}"], sink) == 141
    assert time.monotonic() - began < 5
    os.close(sink)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_output_that_has_no_room_is_no_broken_session(server: SshServer) -> None:
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(OSError, match="No space left") as caught,
    ):
        piped(server, ["echo", "much"], full.fileno())
    assert caught.value.errno == errno.ENOSPC
