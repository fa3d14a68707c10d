"""From an address to an authenticated SSH connection, with every wait bounded.

QEMU's user network accepts before the guest listens, and what it then sends towards the guest is
repeated only after seconds: so several connections race, and the first to say `SSH-` wins.
"""

import io
import logging
import selectors
import socket
import time
from collections.abc import Callable

import paramiko
import paramiko.packet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import BootError

PAUSE = 0.08
"""Seconds between a connection that ended at once and the next."""

STAGGER = 0.5
"""Seconds that a silent connection is waited for alone."""

PATIENCE = 2.0
"""Seconds after which a silent connection is given up; with `STAGGER` at most four are open, below
dropbear's five unauthenticated per address (MAX_UNAUTH_PER_IP, dropbear's default_options.h)."""

HANDSHAKE = 10.0
"""Seconds for key exchange and login after the banner, doubled after each time it was too short."""

REFUSED_PAUSE = 1.0
"""Seconds until a refused key is tried again: first boots put keys in after sshd is up."""

BANNER_LIMIT = 8192
"""Bytes that may come before `SSH-` (RFC 4253, 4.2, allows other lines first)."""

PACKET_LIMIT = 256 << 10
"""OpenSSH's own limit (PACKET_MAX_SIZE, packet.c); paramiko has none and would allocate 4 GiB."""

SLOW_EXCHANGES = ["mlkem768x25519-sha256", "diffie-hellman-group16-sha512"]
"""Key exchanges that cost an emulated guest much and protect nothing here."""

QUIET = logging.getLogger("harness.transport.paramiko")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False  # paramiko logs each connection that a booting guest drops as an error

PROBLEMS = (paramiko.SSHException, EOFError, OSError)
"""What paramiko and sockets raise; anything else is a bug and shows its traceback."""

Alive = Callable[[], str | None]


class Login(Struct, frozen=True):
    """Where, as whom, with which key, and which host key has to answer (None: whichever does)."""

    host: str
    port: int
    user: str
    key: paramiko.PKey
    host_key: paramiko.PKey | None

    @property
    def where(self) -> str:
        """The address for a message."""
        return f"{self.host} port {self.port}"


class Packetizer(paramiko.packet.Packetizer):
    """Paramiko's, with a limit to the packet that a server may announce."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read `n` bytes, or refuse to."""
        if n > PACKET_LIMIT:
            raise paramiko.SSHException(f"a packet of {n} bytes was announced")
        return super().read_all(n, check_rekey)


def generate_key() -> paramiko.PKey:
    """Return a new Ed25519 key that exists in memory only."""
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text.decode()))


def log_in(login: Login, deadline: Deadline, alive: Alive) -> paramiko.Transport:
    """Try until a login works; raise `BootError` at the deadline, or when `alive` says why not.

    A host key other than the pinned one is final.
    """
    problem = "nothing answered"
    handshake = HANDSHAKE
    while True:
        sock = Race(login, deadline, alive).winner(problem)
        pause = PAUSE
        try:
            return _authenticated(sock, login, deadline.within(handshake))
        except paramiko.AuthenticationException as exc:
            problem, pause = f"{login.user} with our key was refused ({exc})", REFUSED_PAUSE
        except PROBLEMS as exc:
            problem = f"the SSH handshake failed ({sentence(exc)})"
        handshake *= 2
        time.sleep(min(pause, deadline.left()))


def sentence(exc: BaseException) -> str:
    """Say what an exception says, or its name where it says nothing."""
    return str(exc) or type(exc).__name__


class Race:
    """Connections to one address, of which the first to send an SSH banner wins."""

    def __init__(self, login: Login, deadline: Deadline, alive: Alive) -> None:
        self._login = login
        self._deadline = deadline
        self._alive = alive
        self._problem = "nothing answered"
        self._pending: dict[socket.socket, float] = {}
        self._next = 0.0

    def winner(self, problem: str) -> socket.socket:
        """Return the socket, its banner still unread; `problem` is what went wrong before."""
        self._problem = problem
        with selectors.DefaultSelector() as selector:
            try:
                while not self._deadline.passed:
                    self._check()
                    self._begin(selector)
                    if won := self._look(selector):
                        del self._pending[won]
                        return won
            finally:
                for sock in self._pending:
                    sock.close()
        raise self._defeat()

    def _check(self) -> None:
        reason = self._alive()
        if reason is not None:
            raise BootError(reason)

    def _defeat(self) -> BootError:
        if self._deadline.cancelled:
            return BootError("the run was interrupted while the guest came up")
        seconds = self._deadline.seconds
        return BootError(
            f"no SSH login at {self._login.where} within {seconds:.0f} s: {self._problem}",
            hint="the console log shows how far the guest came; `boot_timeout` allows more time",
        )

    def _begin(self, selector: selectors.BaseSelector) -> None:
        """Give up what was silent for too long; start another connection if it is time."""
        now = time.monotonic()
        for sock in [sock for sock, expires in self._pending.items() if expires <= now]:
            self._drop(selector, sock, "connections are accepted, but no SSH server speaks")
        if now < self._next:
            return
        self._next = now + STAGGER
        try:
            sock = _connecting(self._login)
        except OSError as exc:
            self._problem, self._next = sentence(exc), now + PAUSE
            return
        self._pending[sock] = now + PATIENCE
        selector.register(sock, selectors.EVENT_READ)

    def _look(self, selector: selectors.BaseSelector) -> socket.socket | None:
        wait = min(PAUSE, self._deadline.left())
        if not self._pending:
            time.sleep(min(wait, max(0.0, self._next - time.monotonic())))
            return None
        for key, _ in selector.select(wait):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                said = sock.recv(BANNER_LIMIT, socket.MSG_PEEK)
            except OSError as exc:
                self._drop(selector, sock, sentence(exc))
                continue
            if is_banner(said):
                return sock
            self._disappointed(selector, sock, said)
        return None

    def _disappointed(
        self, selector: selectors.BaseSelector, sock: socket.socket, said: bytes
    ) -> None:
        if not said:
            self._drop(selector, sock, "connections are closed at once: nothing listens yet")
        elif len(said) >= BANNER_LIMIT:
            self._drop(selector, sock, "what answers is no SSH server")
        else:
            time.sleep(0.01)  # half a banner: the socket stays readable, so do not spin

    def _drop(self, selector: selectors.BaseSelector, sock: socket.socket, problem: str) -> None:
        self._problem = problem
        selector.unregister(sock)
        sock.close()
        del self._pending[sock]
        if not self._pending:
            self._next = min(self._next, time.monotonic() + PAUSE)


def is_banner(said: bytes) -> bool:
    """Whether a whole line that starts with `SSH-` is there (RFC 4253, 4.2)."""
    return any(line.startswith(b"SSH-") for line in said.split(b"\n")[:-1])


def _connecting(login: Login) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        login.host, login.port, type=socket.SOCK_STREAM
    )[0]
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    # Commands are many small messages each way: Nagle would hold them back for the delayed ACK.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect_ex(address)
    return sock


def _authenticated(sock: socket.socket, login: Login, deadline: Deadline) -> paramiko.Transport:
    connection = paramiko.Transport(
        sock, disabled_algorithms={"kex": SLOW_EXCHANGES}, packetizer_class=Packetizer
    )
    try:
        connection.set_log_channel(QUIET.name)
        connection.banner_timeout = connection.handshake_timeout = deadline.left()
        if login.host_key is not None:
            connection.get_security_options().key_types = _algorithms(login.host_key)
        connection.start_client(timeout=deadline.left())
        _check_host_key(connection, login)
        connection.auth_timeout = max(0.1, deadline.left())
        connection.auth_publickey(login.user, login.key)
    except BaseException:
        connection.close()
        raise
    return connection


def _algorithms(key: paramiko.PKey) -> tuple[str, ...]:
    """Return what a server may sign with to prove `key`; without this it offers its favourite."""
    if key.get_name() == "ssh-rsa":
        return ("rsa-sha2-512", "rsa-sha2-256")
    return (key.get_name(),)


def _check_host_key(connection: paramiko.Transport, login: Login) -> None:
    shown = connection.get_remote_server_key()
    if login.host_key is not None and shown.asbytes() != login.host_key.asbytes():
        raise BootError(
            f"the host key at {login.where} is {shown.fingerprint}, "
            f"not the pinned {login.host_key.fingerprint}",
            hint="somebody else answers there: end what holds the port, or, if the machine was "
            "installed anew, give its new host key",
        )
