"""An SSH server on loopback that runs commands with sh; paramiko speaks the protocol."""

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import paramiko
import paramiko.common

from harness.transport import generate_key

CHUNK = 1 << 15

GONE = (OSError, EOFError, paramiko.SSHException)


class Session(paramiko.ServerInterface):
    """Accepts one user with one key, and runs its commands."""

    def __init__(self, server: "SshServer") -> None:
        self._server = server

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        wanted = self._server.user_key.asbytes()
        known = username == "root" and (self._server.open or key.asbytes() == wanted)
        return paramiko.common.AUTH_SUCCESSFUL if known else paramiko.common.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_pty_request(self, channel: paramiko.Channel, *size: object) -> bool:
        self._server.sizes.append(size[1:3])
        return True

    def check_channel_window_change_request(self, channel: paramiko.Channel, *size: int) -> bool:
        self._server.sizes.append(size[:2])
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return self.check_channel_exec_request(channel, b"sh")

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._server.execute, args=(channel, command), daemon=True).start()
        return True


def run_command(channel: paramiko.Channel, command: bytes) -> None:
    """Run a command as sshd does: `sh -c command`, relay the streams, exit status, EOF, close."""
    pipe = subprocess.PIPE
    # No thread may wait for ever: not for input that never comes, nor for a window that stays shut.
    channel.settimeout(0.1)
    with subprocess.Popen(
        ["sh", "-c", command], bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        drains = (
            background(drain, process.stdout, channel.send, channel),
            background(drain, process.stderr, channel.send_stderr, channel),
        )
        feeding = background(feed, channel, process)
        for thread in drains:
            thread.join()
        if channel.closed:
            process.kill()
        status = process.wait()
        feeding.join()
    with contextlib.suppress(*GONE):
        if status >= 0:
            channel.send_exit_status(status)
        channel.close()


def frame(command: bytes) -> bytes:
    """Return the line that sh prints before the command (`harness.transport.frame`)."""
    token = re.search(rb'begin-""([0-9a-f]+)', command)
    assert token is not None, command
    return b"begin-" + token[1] + b"\n"


def background(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError), process.stdin as source:
        while process.poll() is None and not channel.closed:
            with contextlib.suppress(TimeoutError):
                if not (chunk := channel.recv(CHUNK)):
                    return
                rest = memoryview(chunk)
                while rest:
                    rest = rest[source.write(rest) :]


def drain(output: IO[bytes], send: Callable[[bytes], int], channel: paramiko.Channel) -> None:
    with contextlib.suppress(*GONE):
        while not channel.closed and (chunk := output.read(CHUNK)):
            while chunk and not channel.closed:
                with contextlib.suppress(TimeoutError):
                    chunk = chunk[send(chunk) :]


class SshServer:
    """Accepts connections until it is closed. A test may replace `execute` by a hostile one."""

    def __init__(
        self, execute: Callable[[paramiko.Channel, bytes], None] = run_command, port: int = 0
    ) -> None:
        self.user_key = generate_key()
        self.host_key = generate_key()
        self.open = False
        self.prepare: Callable[[paramiko.Transport], object] = lambda connection: None
        self.execute = execute
        self.sizes: list[tuple[object, ...]] = []
        self.connections: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as sshd does
            connection = paramiko.Transport(sock)
            connection.set_log_channel("harness.transport.paramiko")
            connection.add_server_key(self.host_key)
            self.prepare(connection)
            self.connections.append(connection)
            # With an event, start_server does not wait, and so does not raise if the client leaves.
            connection.start_server(threading.Event(), Session(self))

    def close(self) -> None:
        """Stop accepting, and cut every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        self.cut()

    def cut(self) -> None:
        """End every connection without notice."""
        for connection in self.connections:
            connection.close()
            connection.join(5)


@contextmanager
def serving(
    execute: Callable[[paramiko.Channel, bytes], None] = run_command,
) -> Iterator[SshServer]:
    """Yield a server, and close it afterwards."""
    server = SshServer(execute)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield the port of a server that calls `talk` with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                kept.append(sock)
                threading.Thread(target=quietly, args=(sock,), daemon=True).start()

        def quietly(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                talk(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for sock in kept:
                sock.close()
