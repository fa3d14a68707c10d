"""Makes an authenticated SSH connection to an address; every wait has a limit."""

import logging
import socket
import time
from collections.abc import Sequence
from typing import ClassVar

import paramiko
import paramiko.packet
import paramiko.ssh_exception

from harness.deadline import Deadline
from harness.errors import BootError
from harness.transport.certificate import KINDS, objection
from harness.transport.race import PAUSE, Alive, Race, SshLogin, sentence

HANDSHAKE = 10.0
"""Seconds for key exchange and login after the banner; doubled after each attempt that fails."""

REFUSED_PAUSE = 1.0
"""Seconds until a refused key is tried again: a first boot may install keys after sshd starts."""

PACKET_LIMIT = 256 << 10
"""OpenSSH's limit (PACKET_MAX_SIZE, packet.c). Paramiko has none and would allocate 4 GiB."""

SLOW_EXCHANGES = (
    "mlkem768x25519-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
)
"""Key exchanges that take an emulated guest a long time and give no extra protection here. They are
offered last, for servers that have nothing else."""

SETTINGS = {
    "kex": ("key exchange", "KexAlgorithms", "kex"),
    "host key": ("kind of host key", "HostKeyAlgorithms", "key_types"),
    "cipher": ("cipher", "Ciphers", "ciphers"),
    "mac": ("MAC", "MACs", "digests"),
    "compress": ("compression", "Compression", "compression"),
}
"""A word of paramiko's message if it and the server agree on nothing; what that is; its name in
sshd_config; and the attribute of paramiko's `SecurityOptions` with what paramiko offers."""

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


class _CutOffError(Exception):
    """The connection ended while keys were offered, `tried` of them so far.

    sshd hangs up after several keys (sshd_config(5), MaxAuthTries). paramiko does if a key cannot
    sign, such as one that the ssh-agent holds and may not use.
    """

    def __init__(self, tried: int, problem: str) -> None:
        super().__init__(problem)
        self.tried = tried


INFO = paramiko.Transport._kex_info  # type: ignore[attr-defined]
PREFERRED = paramiko.Transport._preferred_kex  # type: ignore[attr-defined]


class _Connection(paramiko.Transport):
    """Also offers an exchange under its name in RFC 8731; paramiko knows only the older name."""

    _kex_info: ClassVar = {**INFO, "curve25519-sha256": INFO["curve25519-sha256@libssh.org"]}
    _preferred_kex = ("curve25519-sha256", *PREFERRED)


def log_in(login: SshLogin, deadline: Deadline, alive: Alive) -> paramiko.Transport:
    """Try until a login works; raise `BootError` at the deadline, or with the reason from `alive`.

    An unexpected host key, or a server that has no algorithm in common with us, is an error at
    once. If the connection ends before all keys were offered, the next one offers the others.
    """
    problem = "nothing answered"
    handshake = HANDSHAKE
    keys = login.keys
    while True:
        sock = Race(login, deadline, alive).winner(problem)
        pause, final = PAUSE, False
        try:
            return _authenticated(sock, login, keys, deadline.within(handshake))
        except _CutOffError as exc:
            keys = keys[exc.tried :]
            problem, final = _refused(login, exc), not keys
        except paramiko.AuthenticationException as exc:
            problem, final, pause = _refused(login, exc), True, REFUSED_PAUSE
        except PROBLEMS as exc:
            problem = f"the SSH handshake failed ({sentence(exc)})"
        if final:
            keys = login.keys
            if not login.comes_up:
                raise BootError(f"no SSH login at {login.where}: {problem}", hint=login.remedy)
        # The time was perhaps too short for a slow guest, so the next attempt gets twice as much.
        handshake *= 2
        time.sleep(min(pause, deadline.left()))


def _refused(login: SshLogin, exc: Exception) -> str:
    keys = "our key" if login.comes_up else ", ".join(key.fingerprint for key in login.keys)
    return f"{login.user} with {keys} was refused ({sentence(exc)})"


def _authenticated(
    sock: socket.socket, login: SshLogin, keys: Sequence[paramiko.PKey], deadline: Deadline
) -> paramiko.Transport:
    connection = _Connection(sock, packetizer_class=_Packetizer)
    try:
        connection.set_log_channel(QUIET.name)
        connection.banner_timeout = connection.handshake_timeout = deadline.left()
        offered = connection.get_security_options()
        offered.kex = tuple(sorted(offered.kex, key=lambda name: name in SLOW_EXCHANGES))
        offered.key_types = _key_types(offered.key_types, login)
        connection.start_client(timeout=deadline.left())
        if not connection.initial_kex_done:  # paramiko returns at its time limit as if it were done
            raise paramiko.SSHException(f"no key exchange within {deadline.seconds:.0f} s")
        _check_host_key(connection, login)
        connection.auth_timeout = max(0.1, deadline.left())
        _offer_keys(connection, login.user, keys)
    except paramiko.ssh_exception.IncompatiblePeer as exc:
        connection.close()
        raise _incompatible(connection, login, exc) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def _key_types(possible: Sequence[str], login: SshLogin) -> tuple[str, ...]:
    """Return which kinds of host key to ask for, best first."""
    certified = KINDS if login.authorities else ()
    return (*certified, *(_algorithms(login.host_keys) if login.host_keys else possible))


def _algorithms(keys: Sequence[paramiko.PKey]) -> tuple[str, ...]:
    """Return the signature algorithms for `keys`, so that the server shows one of these kinds."""
    kinds = dict.fromkeys(key.get_name() for key in keys)
    found = [("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,) for kind in kinds]
    return tuple(name for names in found for name in names)


def _offer_keys(connection: paramiko.Transport, user: str, keys: Sequence[paramiko.PKey]) -> None:
    """Log in with the first key that the server accepts; raise its error for the last one."""
    for tried, key in enumerate(keys, start=1):
        try:
            more = connection.auth_publickey(user, key)
        except PROBLEMS as exc:
            if not connection.is_active():
                raise _CutOffError(tried, sentence(exc)) from exc
            if tried == len(keys):
                raise
            continue
        if connection.is_authenticated():
            return
        if tried == len(keys):  # RFC 4252, 5.1: the key fits, but another method is required, too
            raise paramiko.AuthenticationException(f"it also asks for {', '.join(more)}")


def _incompatible(
    connection: paramiko.Transport, login: SshLogin, exc: paramiko.SSHException
) -> BootError:
    """Return the error for a server with which we have no algorithm in common."""
    said = sentence(exc).lower()
    if login.host_keys and "host key" in said:
        kinds = " or ".join(dict.fromkeys(key.get_name() for key in login.host_keys))
        return BootError(f"what answers at {login.where} has no {kinds} key", hint=login.changed)
    known = (row for word, row in SETTINGS.items() if word in said)
    what, setting, attribute = next(known, ("version of the protocol", "", ""))
    message = f"what answers at {login.where} has no {what} in common with this program"
    if not setting:
        return BootError(f"{message}: {sentence(exc)}", hint="it must be an SSH 2 server")
    ours = ",".join(getattr(connection.get_security_options(), attribute))
    return BootError(message, hint=f"its sshd_config must allow one of these: `{setting} {ours}`")


def is_certified(login: SshLogin, shown: paramiko.PKey) -> bool:
    """Return whether a known authority certifies the key for this host."""
    return bool(login.authorities) and objection(shown, login.authorities, login.name) is None


def _check_host_key(connection: paramiko.Transport, login: SshLogin) -> None:
    shown = connection.get_remote_server_key()
    if shown.asbytes() in [key.asbytes() for key in login.revoked]:
        message = f"the host key at {login.where} is {shown.fingerprint}, which was revoked"
        raise BootError(f"{message} (`@revoked` in known_hosts)", hint=login.changed)
    if is_certified(login, shown):
        return
    if login.host_keys and shown.asbytes() not in [key.asbytes() for key in login.host_keys]:
        pinned = " or ".join(key.fingerprint for key in login.host_keys)
        raise BootError(
            f"the host key at {login.where} is {shown.fingerprint}, not the pinned {pinned}",
            hint=login.changed,
        )
