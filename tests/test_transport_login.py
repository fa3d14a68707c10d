"""Logging in: soon when a guest comes up, within a limit if the server is wrong or hostile."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ssh_server import SshServer, serving, talking

from harness.deadline import Cancellation, Deadline
from harness.errors import BootError
from harness.transport import SshTransport, generate_key


def knock(port: int, seconds: float, alive: Callable[[], str | None] = lambda: None) -> BootError:
    """Connect to a hostile port; return the error."""
    key = generate_key()
    with pytest.raises(BootError) as caught:
        SshTransport.connect("127.0.0.1", port, "root", key, None, Deadline(seconds), {}, alive)
    return caught.value


@pytest.fixture
def server() -> Iterator[SshServer]:
    with serving() as made:
        yield made


def test_a_host_key_that_is_not_the_pinned_one_ends_at_once(server: SshServer) -> None:
    began = time.monotonic()
    with pytest.raises(BootError, match="not the pinned") as caught:
        SshTransport.connect(
            "127.0.0.1", server.port, "root", server.user_key, generate_key(), Deadline(20), {}
        )
    assert time.monotonic() - began < 5
    assert caught.value.hint


def test_an_unknown_host_key_is_learnt(server: SshServer) -> None:
    transport = SshTransport.connect(
        "127.0.0.1", server.port, "root", server.user_key, None, Deadline(10), {"provider": "x"}
    )
    assert transport.host_key.asbytes() == server.host_key.asbytes()
    assert transport.provenance == {"provider": "x"}
    transport.close()


def test_a_refused_key_is_tried_until_the_deadline_and_said_so(server: SshServer) -> None:
    assert "was refused" in str(knock(server.port, 2.5))
    assert 2 <= len(server.connections) <= 4


def test_a_key_that_is_put_in_later_gets_in(server: SshServer) -> None:
    wanted = server.user_key
    server.user_key = generate_key()

    def put() -> None:
        server.user_key = wanted

    threading.Timer(0.5, put).start()
    SshTransport.connect("127.0.0.1", server.port, "root", wanted, None, Deadline(10), {}).close()


def test_nobody_listening_is_waited_for_and_then_found_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    user = generate_key()
    late: list[SshServer] = []

    def begin() -> None:
        made = SshServer(port=port)
        made.user_key = user
        late.append(made)

    threading.Timer(0.7, begin).start()
    began = time.monotonic()
    transport = SshTransport.connect("127.0.0.1", port, "root", user, None, Deadline(20), {})
    assert 0.7 <= time.monotonic() - began < 2.5
    transport.close()
    late[0].close()


def test_a_port_that_accepts_and_says_nothing_is_tried_anew() -> None:
    accepted: list[socket.socket] = []
    with talking(accepted.append) as port:
        assert "no SSH server speaks" in str(knock(port, 3))
    assert 4 <= len(accepted) <= 9


def test_a_silent_connection_does_not_hide_a_guest_that_came_up(server: SshServer) -> None:
    """As with QEMU's user network: the first connections are accepted and never answered."""
    seen: list[socket.socket] = []

    def relay(sock: socket.socket) -> None:
        seen.append(sock)
        if len(seen) < 4:
            return
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            threading.Thread(target=copy, args=(other, sock), daemon=True).start()
            copy(sock, other)

    with talking(relay) as port:
        began = time.monotonic()
        SshTransport.connect(
            "127.0.0.1", port, "root", server.user_key, server.host_key, Deadline(20), {}
        ).close()
        assert time.monotonic() - began < 4


def copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_banner_and_then_silence_is_bounded() -> None:
    with talking(lambda sock: sock.sendall(b"SSH-2.0-mute\r\n")) as port:
        began = time.monotonic()
        assert "handshake failed" in str(knock(port, 2))
        assert time.monotonic() - began < 4


def test_what_is_no_ssh_server_is_said_so() -> None:
    with talking(lambda sock: sock.sendall(b"HTTP/1.0 400 Bad\r\n" * 4096)) as port:
        assert "no SSH server" in str(knock(port, 1))


def test_half_a_banner_is_not_taken_for_one() -> None:
    with talking(lambda sock: sock.sendall(b"SSH-")) as port:
        assert "no SSH server speaks" in str(knock(port, 3))


def test_a_packet_of_four_gibibytes_is_refused() -> None:
    with talking(lambda sock: sock.sendall(b"SSH-2.0-big\r\n\xff\xff\xff\xfc" + b"x" * 99)) as port:
        assert "bytes was announced" in str(knock(port, 1.5))


def test_connections_that_drop_after_the_banner_are_tried_anew() -> None:
    times: list[float] = []

    def drop(sock: socket.socket) -> None:
        times.append(time.monotonic())
        sock.sendall(b"SSH-2.0-gone\r\n")
        sock.close()

    with talking(drop) as port:
        assert "handshake failed" in str(knock(port, 1.5))
    assert len(times) >= 4


def test_a_guest_known_to_be_dead_is_not_waited_for() -> None:
    with talking(lambda sock: None) as port:
        began = time.monotonic()
        assert (
            str(knock(port, 60, lambda: "QEMU ended with status 1")) == "QEMU ended with status 1"
        )
        assert time.monotonic() - began < 2


def test_an_interrupt_ends_the_waiting() -> None:
    cancellation = Cancellation()
    threading.Timer(0.3, cancellation.say).start()
    with talking(lambda sock: None) as port:
        began = time.monotonic()
        with pytest.raises(BootError, match="interrupted"):
            SshTransport.connect(
                "127.0.0.1", port, "root", generate_key(), None, Deadline(60, cancellation), {}
            )
        assert time.monotonic() - began < 2
