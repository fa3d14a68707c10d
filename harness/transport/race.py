"""Connects to an SSH server that may not be up yet: the first connection with a banner wins.

QEMU's user network accepts a connection before the guest listens, and repeats the SYN towards the
guest only after seconds. So several connections are open at the same time.
"""

import errno
import os
import selectors
import socket
import time
from collections.abc import Callable

import paramiko
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import BootError

PAUSE = 0.08
"""Seconds to wait after a connection that ended at once."""

STAGGER = 0.5
"""Seconds after which another connection is opened beside a silent one."""

PATIENCE = 2.0
"""Seconds after which a silent connection is given up. With `STAGGER`, at most four are open, fewer
than the five that dropbear allows per address (MAX_UNAUTH_PER_IP, its default_options.h)."""

BANNER_LIMIT = 8192
"""Bytes that may come before `SSH-` (RFC 4253, 4.2, allows other lines first)."""

FINAL = (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
"""Nothing listens there, or there is no way there (this machine has no network, or no loopback)."""

SILENT = "connections are accepted, but no SSH server speaks"
UNANSWERED = "nothing answers: is it off, or behind a firewall?"

Alive = Callable[[], str | None]


class SshLogin(Struct, frozen=True):
    """Address, user, keys, and the host keys of which one is expected (none: accept any).

    A host key in `revoked` is refused in any case. One with a certificate for the host `name`,
    signed by one of `authorities`, is as good as an expected one.

    With `comes_up` the machine is booting: wait until it listens and accepts a key. Without it the
    machine must be up: if it refuses, that is final. `remedy` is the hint if no login works,
    `changed` the hint if another host key is shown.
    """

    host: str
    port: int
    user: str
    keys: tuple[paramiko.PKey, ...]
    host_keys: tuple[paramiko.PKey, ...]
    comes_up: bool = True
    remedy: str = "the console log shows how far the guest came; `boot_timeout` allows more time"
    changed: str = (
        "another machine answers there: end the program that holds the port, or give the new host "
        "key if the machine was reinstalled"
    )
    revoked: tuple[paramiko.PKey, ...] = ()
    authorities: tuple[paramiko.PKey, ...] = ()
    name: str = ""

    @property
    def where(self) -> str:
        """The address for a message."""
        return f"{self.host} port {self.port}"


def sentence(exc: BaseException) -> str:
    """Return the message of an exception, or the name of its class if it has none."""
    return str(exc) or type(exc).__name__


class Race:
    """Several connections to one address; the first that sends an SSH banner wins."""

    def __init__(self, login: SshLogin, deadline: Deadline, alive: Alive) -> None:
        self._login = login
        self._deadline = deadline
        self._alive = alive
        self._problem = "nothing answered"
        self._pending: dict[socket.socket, float] = {}
        self._next = 0.0
        self._turn, self._refusals, self._ways = 0, 0, 1

    def winner(self, problem: str) -> socket.socket:
        """Return the socket, with its banner still unread; raise `BootError`.

        `problem` is what went wrong in the attempt before.
        """
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
        within = f"within {self._deadline.seconds:.0f} s"
        message = f"no SSH login at {self._login.where} {within}: {self._problem}"
        return BootError(message, hint=self._login.remedy)

    def _note(self, exc: OSError) -> str:
        """Return the message of a network error; raise `BootError` if it is final.

        A name may have several addresses, and a server often listens on only one of them. So a
        refusal is final only after each address has refused.
        """
        self._refusals += exc.errno in FINAL
        final = isinstance(exc, socket.gaierror) or self._refusals >= self._ways
        if final and not self._login.comes_up:
            message = f"no SSH login at {self._login.where}: {sentence(exc)}"
            raise BootError(message, hint=self._login.remedy) from exc
        return sentence(exc)

    def _begin(self, selector: selectors.BaseSelector) -> None:
        """Close connections that were silent for too long; open another one if it is time."""
        now = time.monotonic()
        for sock in [sock for sock, expires in self._pending.items() if expires <= now]:
            self._drop(selector, sock, SILENT if _accepted(sock) else UNANSWERED)
        if now < self._next:
            return
        self._next = now + STAGGER
        try:
            sock = self._connecting()
        except OSError as exc:
            self._problem, self._next = self._note(exc), now + PAUSE
            return
        self._pending[sock] = now + PATIENCE
        selector.register(sock, selectors.EVENT_READ)

    def _connecting(self) -> socket.socket:
        """Start a connection to the next of the machine's addresses."""
        login = self._login
        found = socket.getaddrinfo(login.host, login.port, type=socket.SOCK_STREAM)
        self._ways = len(found)
        family, kind, protocol, _, address = found[self._turn % len(found)]
        self._turn += 1
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        # Commands are many small messages in both directions. Nagle's algorithm would hold them
        # back until delayed ACKs arrive.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            raise OSError(code, os.strerror(code))
        return sock

    def _look(self, selector: selectors.BaseSelector) -> socket.socket | None:
        wait = min(PAUSE, self._deadline.left())
        if not self._pending:
            time.sleep(min(wait, max(0.0, self._next - time.monotonic())))
            return None
        for key, _ in selector.select(wait):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                # Only peek: the SSH handshake that follows must read the banner itself.
                said = sock.recv(BANNER_LIMIT, socket.MSG_PEEK)
            except OSError as exc:
                self._drop(selector, sock, self._note(exc))
                continue
            if _is_banner(said):
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


def _accepted(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:  # ENOTCONN: no reply to the SYN yet
        return False
    return True


def _is_banner(said: bytes) -> bool:
    """Return whether there is a whole line that starts with `SSH-` (RFC 4253, 4.2)."""
    return any(line.startswith(b"SSH-") for line in said.split(b"\n")[:-1])
