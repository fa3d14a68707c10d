"""Logging in: soon when a guest comes up, within a limit if the server is wrong or hostile."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import paramiko
import pytest
from msgspec.structs import replace
from ssh_server import SshServer, serving, talking

from harness.deadline import Cancellation, Deadline
from harness.errors import BootError
from harness.transport import SshLogin, SshTransport, generate_key


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


ONLY = [("kex", ["diffie-hellman-group16-sha512"]), ("ciphers", ["3des-cbc"])]
ONLY += [("digests", ["hmac-sha2-512"]), ("kex", ["diffie-hellman-group14-sha256"])]


def only(server: SshServer, attribute: str, names: list[str]) -> None:
    """Let the server allow only these algorithms, whether paramiko knows them or not."""

    def prepare(connection: paramiko.Transport) -> None:
        private = {"kex": "kex", "ciphers": "ciphers", "digests": "macs"}[attribute]
        setattr(connection, f"_preferred_{private}", tuple(names))

    server.prepare = prepare


@pytest.mark.parametrize(("attribute", "names"), ONLY)
def test_all_that_paramiko_can_do_is_offered(
    server: SshServer, attribute: str, names: list[str]
) -> None:
    only(server, attribute, names)
    key = server.user_key
    SshTransport.connect("127.0.0.1", server.port, "root", key, None, Deadline(20), {}).close()


FOREIGN = [
    ("kex", ["sntrup761x25519-sha512@openssh.com"], "no key exchange", "KexAlgorithms curve25519"),
    ("ciphers", ["chacha20-poly1305@openssh.com"], "no cipher", "Ciphers aes128-ctr"),
    ("digests", ["umac-128@openssh.com"], "no MAC", "MACs hmac-sha2-256"),
]


@pytest.mark.parametrize(("attribute", "names", "said", "hint"), FOREIGN)
def test_a_server_with_nothing_in_common_is_not_waited_for(
    server: SshServer, attribute: str, names: list[str], said: str, hint: str
) -> None:
    """The server is one that comes up, but waiting does not change what it can do."""
    only(server, attribute, names)
    began = time.monotonic()
    error = knock(server.port, 60)
    assert time.monotonic() - began < 5
    assert f"{said} in common with this program" in str(error)
    assert f"must allow one of these: `{hint}" in str(error.hint)


def test_a_server_of_protocol_1_is_not_waited_for() -> None:
    with talking(lambda sock: sock.sendall(b"SSH-1.5-old\r\n")) as port:
        began = time.monotonic()
        error = knock(port, 60)
    assert time.monotonic() - began < 5
    assert "no version of the protocol in common" in str(error)


def login(server: SshServer, *keys: paramiko.PKey, **more: object) -> SshLogin:
    made = SshLogin("127.0.0.1", server.port, "root", keys, (server.host_key,), comes_up=False)
    return replace(made, **more)


def test_one_of_several_host_keys_is_enough(server: SshServer) -> None:
    both = (generate_key(), server.host_key)
    wanted = login(server, server.user_key, host_keys=both)
    SshTransport.log_in(wanted, Deadline(10), {}).close()


def test_a_revoked_host_key_is_refused(server: SshServer) -> None:
    with pytest.raises(BootError, match="which was revoked"):
        SshTransport.log_in(
            login(server, server.user_key, revoked=(server.host_key,)), Deadline(10), {}
        )


class Unwilling(paramiko.Ed25519Key):
    """A key that cannot sign, as of an ssh-agent whose owner declines."""

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        raise paramiko.SSHException("key cannot be used for signing")


def unwilling() -> paramiko.PKey:
    return Unwilling(data=generate_key().asbytes())


def test_a_key_that_cannot_sign_does_not_hide_the_next_one(server: SshServer) -> None:
    keys = (unwilling(), generate_key(), unwilling(), server.user_key)
    began = time.monotonic()
    SshTransport.log_in(login(server, *keys), Deadline(20), {}).close()
    assert time.monotonic() - began < 8


def test_keys_that_cannot_sign_are_named_at_once(server: SshServer) -> None:
    key = unwilling()
    began = time.monotonic()
    with pytest.raises(BootError, match="cannot be used for signing") as caught:
        SshTransport.log_in(login(server, key), Deadline(20), {})
    assert time.monotonic() - began < 5
    assert key.fingerprint in str(caught.value)


def up(host: str, port: int) -> SshLogin:
    return SshLogin(host, port, "root", (generate_key(),), (), comes_up=False)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels refuse it in other ways")
def test_an_address_without_a_way_there_is_believed_at_once() -> None:
    """TCP to a broadcast address: connect() fails with ENETUNREACH, as without any network."""
    began = time.monotonic()
    with pytest.raises(BootError, match=r"login at 255\.255\.255\.255 port 22: .*Network is unr"):
        SshTransport.log_in(up("255.255.255.255", 22), Deadline(20), {})
    assert time.monotonic() - began < 8


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels have other queues")
def test_a_machine_that_does_not_answer_is_not_said_to_accept() -> None:
    """A full queue drops each SYN, as a firewall does."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        socket.create_connection(server.getsockname()),
        pytest.raises(BootError, match="nothing answers: is it off, or behind a firewall"),
    ):
        SshTransport.log_in(up(*server.getsockname()), Deadline(3.5), {})
