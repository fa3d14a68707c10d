"""Both transports keep the contract; the SSH transport also with servers that break it."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import psutil
import pytest
from provider_contract import TransportContract
from ssh_server import GONE, SshServer, frame, serving

from harness.deadline import Deadline
from harness.errors import CommandTimeoutError, GuestLostError
from harness.protocols import Transport
from harness.transport import LocalTransport, SshTransport
from harness.transport.shell import login_command


def connect(server: SshServer, seconds: float = 10) -> SshTransport:
    return SshTransport.connect(
        "127.0.0.1", server.port, "root", server.user_key, server.host_key, Deadline(seconds), {}
    )


@pytest.fixture
def server() -> Iterator[SshServer]:
    with serving() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


class TestLocalTransport(TransportContract):
    """Commands of this machine."""

    @pytest.fixture
    def transport(self) -> LocalTransport:
        return LocalTransport()


class TestSshTransport(TransportContract):
    """Commands through a real server on loopback."""

    def test_several_threads_run_at_once(self, transport: Transport) -> None:
        """Skip: the live suite runs the same test against dropbear."""
        pytest.skip("this server, paramiko's, fails it now and then (2 of 15 whole runs)")

    @pytest.fixture
    def transport(self, server: SshServer) -> Iterator[SshTransport]:
        made = connect(server)
        yield made
        made.close()


def test_a_timeout_kills_the_whole_group_of_a_local_command(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = f"sleep 300 & echo $! > {pids}; sleep 300 & echo $! >> {pids}; wait"
    with pytest.raises(CommandTimeoutError):
        LocalTransport().run(["sh", "-c", command], timeout=0.5)
    deadline = Deadline(5)
    for pid in map(int, pids.read_text().split()):
        while is_running(pid) and not deadline.passed:
            time.sleep(0.01)
        assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not, as a container may not reap orphans."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_local_command_that_leaves_its_output_open_is_bounded() -> None:
    began = time.monotonic()
    said = bytearray()
    with pytest.raises(CommandTimeoutError):
        LocalTransport().run(["sh", "-c", "echo said; sleep 300 &"], timeout=0.5, into=said.extend)
    assert time.monotonic() - began < 3
    assert said == b"said\n"


def test_closing_a_local_transport_ends_what_runs() -> None:
    transport = LocalTransport()
    threading.Timer(0.3, transport.close).start()
    began = time.monotonic()
    with pytest.raises(GuestLostError):
        transport.run(["sleep", "60"], timeout=50)
    assert time.monotonic() - began < 5
    with pytest.raises(GuestLostError, match="closed"):
        transport.run(["true"], timeout=5)


def test_closing_ends_the_wait_for_a_process_that_left_the_group() -> None:
    transport = LocalTransport()
    threading.Timer(0.5, transport.close).start()
    runaway = "import os, time; os.fork() or (os.setsid(), time.sleep(6)); time.sleep(6)"
    begun = time.monotonic()
    with pytest.raises(GuestLostError):
        transport.run([sys.executable, "-c", runaway], timeout=30)
    assert time.monotonic() - begun < 5


def test_a_local_prefix_stands_before_every_command(tmp_path: Path) -> None:
    transport = LocalTransport(["env", "WHERE=inside"])
    assert transport.run(["sh", "-c", "echo $WHERE"], timeout=5).stdout == b"inside\n"


def test_a_shell_ended_from_outside_is_a_lost_guest() -> None:
    said = bytearray()
    with pytest.raises(GuestLostError):
        LocalTransport().run(["sh", "-c", "echo said; kill -9 $PPID"], timeout=5, into=said.extend)
    assert said == b"said\n"


def test_a_connection_lost_in_a_command_is_a_lost_guest(server: SshServer) -> None:
    transport = connect(server)
    threading.Timer(0.5, server.cut).start()
    said = bytearray()
    with pytest.raises(GuestLostError):
        transport.run(["sh", "-c", "echo said; exec sleep 20"], timeout=15, into=said.extend)
    assert said == b"said\n"
    with pytest.raises(GuestLostError):
        transport.run(["true"], timeout=5)


def test_closing_the_transport_ends_a_command_that_waits(server: SshServer) -> None:
    transport = connect(server)
    threading.Timer(0.3, transport.close).start()
    began = time.monotonic()
    with pytest.raises(GuestLostError):
        transport.run(["sleep", "5"], timeout=15)
    assert time.monotonic() - began < 3


def test_a_push_cut_short_leaves_nothing(server: SshServer, tmp_path: Path) -> None:
    """The server drops the connection in the middle: `cat` sees a normal end of file."""
    target = tmp_path / "pushed"
    transport = connect(server)
    stop = threading.Event()

    def cut_at_first_byte() -> None:
        while not any(part.stat().st_size for part in tmp_path.iterdir()) and not stop.is_set():
            time.sleep(0.001)
        server.cut()

    thread = threading.Thread(target=cut_at_first_byte)
    thread.start()
    with pytest.raises(GuestLostError):
        transport.push(os.urandom(64 << 20), str(target), timeout=20)
    stop.set()
    thread.join()
    deadline = Deadline(5)
    while list(tmp_path.iterdir()) and not deadline.passed:
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []


def no_status(channel: paramiko.Channel, command: bytes) -> None:
    time.sleep(0.1)  # paramiko's server replies to `exec` only after it has called this
    channel.sendall(frame(command) + b"said")
    channel.close()


OPEN: list[paramiko.Channel] = []
"""Channels that must stay open: paramiko closes a channel without a reference."""


def mute(channel: paramiko.Channel, command: bytes) -> None:
    """Neither read nor answer."""
    OPEN.append(channel)


def status_without_end(channel: paramiko.Channel, command: bytes) -> None:
    OPEN.append(channel)
    channel.sendall(frame(command) + b"said")
    channel.send_exit_status(0)


def test_a_command_without_exit_status_is_a_lost_guest() -> None:
    with serving(no_status) as server:
        said = bytearray()
        with pytest.raises(GuestLostError):
            connect(server).run(["true"], timeout=10, into=said.extend)
        assert said == b"said"


@pytest.mark.parametrize("execute", [mute, status_without_end])
def test_a_server_that_does_not_end_a_command_is_bounded(
    execute: Callable[[paramiko.Channel, bytes], None],
) -> None:
    with serving(execute) as server:
        began = time.monotonic()
        with pytest.raises(CommandTimeoutError):
            connect(server).run(["true"], stdin=b"x" * (8 << 20), timeout=1)
        assert time.monotonic() - began < 5


def test_a_server_that_never_answers_exec_is_bounded() -> None:
    """paramiko's `exec_command` waits for the reply without a limit."""
    with serving() as server:
        transport = connect(server)
        server.execute = stuck = Stuck()
        began = time.monotonic()
        with pytest.raises(CommandTimeoutError):
            transport.run(["true"], timeout=1)
        assert time.monotonic() - began < 6
        stuck.release.set()


class Stuck:
    """Blocks the server's own thread, as in a guest whose sshd gets no CPU."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def __call__(self, channel: paramiko.Channel, command: bytes) -> None:
        self.release.wait(20)


def test_quoting_survives_a_login_shell_that_expands_exclamation_marks() -> None:
    assert "!" not in login_command(["echo", "a!b"]).replace(r"'\!'", "")


def regardless(channel: paramiko.Channel, command: bytes) -> None:
    """Send much more than the client has room for."""
    with contextlib.suppress(*GONE):
        channel.sendall(frame(command) + b"begun")
        channel.out_window_size = 1 << 30
        channel.sendall(bytes(4 << 20))


def test_a_guest_that_ignores_flow_control_is_not_listened_to() -> None:
    with serving(regardless) as server, pytest.raises(GuestLostError, match="flow control"):
        connect(server).run(["true"], timeout=20, into=lambda _: time.sleep(0.2))


def test_nor_one_that_does_so_while_nobody_reads() -> None:
    with serving(regardless) as server:
        transport = connect(server)
        with transport.guarded(["true"]), pytest.raises(GuestLostError):
            transport.run(["true"], timeout=20, into=lambda _: None)


FLOOD = """
import re, sys
from harness.deadline import Deadline
from harness.transport import SshTransport, generate_key
t = SshTransport.connect(
    "127.0.0.1", int(sys.argv[1]), "root", generate_key(), None, Deadline(10), {}
)
done = t.run(["sh", "-c", "yes | head -c " + sys.argv[2]], timeout=300)
assert done.truncated and done.status == 0
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""
# Not getrusage(): ru_maxrss starts at the value of the parent that forked this process (exec, mm).


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_flood_does_not_grow_the_harness(server: SshServer) -> None:
    server.open = True
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, str(server.port), "60000000"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert int(done.stdout) / 1024 < 150
