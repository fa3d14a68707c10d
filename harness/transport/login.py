"""Makes an authenticated SSH connection to an address; every wait has a limit."""

import logging
import socket
import time
from contextlib import suppress

import paramiko
import paramiko.packet
import paramiko.ssh_exception

from harness.deadline import Deadline
from harness.errors import BootError
from harness.transport.race import PAUSE, Alive, Race, SshLogin, sentence

HANDSHAKE = 10.0
"""Seconds for key exchange and login after the banner; doubled after each attempt that fails."""

REFUSED_PAUSE = 1.0
"""Seconds until a refused key is tried again: a first boot may install keys after sshd starts."""

PACKET_LIMIT = 256 << 10
"""OpenSSH's limit (PACKET_MAX_SIZE, packet.c). Paramiko has none and would allocate 4 GiB."""

SLOW_EXCHANGES = ["mlkem768x25519-sha256", "diffie-hellman-group16-sha512"]
"""Key exchanges that take an emulated guest a long time and give no extra protection here."""

QUIET = logging.getLogger("harness.transport.paramiko")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False  # paramiko logs each connection that a booting guest drops as an error

PROBLEMS = (paramiko.SSHException, EOFError, OSError)
"""What paramiko and sockets raise; anything else is a bug and shows its traceback."""


class _Packetizer(paramiko.packet.Packetizer):
    """Paramiko's packetizer, with a limit on the packet size that a server may announce."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read `n` bytes; raise `SSHException` if that is more than the limit."""
        if n > PACKET_LIMIT:
            raise paramiko.SSHException(f"a packet of {n} bytes was announced")
        return super().read_all(n, check_rekey)


def log_in(login: SshLogin, deadline: Deadline, alive: Alive) -> paramiko.Transport:
    """Try until a login works; raise `BootError` at the deadline, or with the reason from `alive`.

    A host key that is not the pinned one is an error at once.
    """
    problem = "nothing answered"
    handshake = HANDSHAKE
    while True:
        sock = Race(login, deadline, alive).winner(problem)
        pause = PAUSE
        try:
            return _authenticated(sock, login, deadline.within(handshake))
        except paramiko.AuthenticationException as exc:
            problem, pause = _refused(login, exc), REFUSED_PAUSE
            if not login.comes_up:
                raise BootError(
                    f"no SSH login at {login.where}: {problem}", hint=login.remedy
                ) from exc
        except PROBLEMS as exc:
            problem = f"the SSH handshake failed ({sentence(exc)})"
        # The time was perhaps too short for a slow guest, so the next attempt gets twice as much.
        handshake *= 2
        time.sleep(min(pause, deadline.left()))


def _refused(login: SshLogin, exc: paramiko.AuthenticationException) -> str:
    keys = "our key" if login.comes_up else ", ".join(key.fingerprint for key in login.keys)
    return f"{login.user} with {keys} was refused ({sentence(exc)})"


def _authenticated(sock: socket.socket, login: SshLogin, deadline: Deadline) -> paramiko.Transport:
    connection = paramiko.Transport(
        sock, disabled_algorithms={"kex": SLOW_EXCHANGES}, packetizer_class=_Packetizer
    )
    try:
        connection.set_log_channel(QUIET.name)
        connection.banner_timeout = connection.handshake_timeout = deadline.left()
        if login.host_key is not None:
            connection.get_security_options().key_types = _algorithms(login.host_key)
        connection.start_client(timeout=deadline.left())
        _check_host_key(connection, login)
        connection.auth_timeout = max(0.1, deadline.left())
        _offer_keys(connection, login)
    except paramiko.ssh_exception.IncompatiblePeer as exc:
        connection.close()
        raise _incompatible(login, exc) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def _algorithms(key: paramiko.PKey) -> tuple[str, ...]:
    """Return the signature algorithms for `key`, so that the server shows a key of this kind."""
    if key.get_name() == "ssh-rsa":
        return ("rsa-sha2-512", "rsa-sha2-256")
    return (key.get_name(),)


def _offer_keys(connection: paramiko.Transport, login: SshLogin) -> None:
    """Log in with the first key that the server accepts; raise its error for the last one."""
    for key in login.keys[:-1]:
        with suppress(paramiko.AuthenticationException):
            connection.auth_publickey(login.user, key)
        if connection.is_authenticated():
            return
    more = connection.auth_publickey(login.user, login.keys[-1])
    if more:  # RFC 4252, 5.1: the key is accepted, but another method is required, too
        raise paramiko.AuthenticationException(f"it also asks for {', '.join(more)}")


def _incompatible(login: SshLogin, exc: paramiko.SSHException) -> Exception:
    """Return `BootError` if the server has no key of the pinned kind, else the error itself."""
    if login.host_key is not None and "host key" in str(exc):
        kind = login.host_key.get_name()
        return BootError(f"what answers at {login.where} has no {kind} key", hint=login.changed)
    return exc


def _check_host_key(connection: paramiko.Transport, login: SshLogin) -> None:
    shown = connection.get_remote_server_key()
    if login.host_key is not None and shown.asbytes() != login.host_key.asbytes():
        raise BootError(
            f"the host key at {login.where} is {shown.fingerprint}, "
            f"not the pinned {login.host_key.fingerprint}",
            hint=login.changed,
        )
