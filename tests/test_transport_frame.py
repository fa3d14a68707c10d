"""What start-up files print around a command is left out, however it arrives."""

import subprocess
import time

import paramiko
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ssh_server import SshServer, frame, run_command, serving

from harness.deadline import Deadline
from harness.errors import InfrastructureError
from harness.protocols import COMPLAINT
from harness.transport import SshTransport
from harness.transport.frame import Frame
from harness.transport.shell import Streams


def connect(server: SshServer) -> SshTransport:
    return SshTransport.connect(
        "127.0.0.1", server.port, "root", server.user_key, server.host_key, Deadline(10), {}
    )


@settings(max_examples=300)
@given(
    noise=st.binary(max_size=2000),
    said=st.lists(
        st.sampled_from([b"@end-", b"@", b"begin-", b"e", b"\n", b"0", b"out"]), max_size=20
    ),
    after=st.binary(max_size=20),
    size=st.integers(1, 40),
)
def test_only_what_is_inside_the_frame_counts(
    noise: bytes, said: list[bytes], after: bytes, size: int
) -> None:
    made, streams = Frame(), Streams(None)
    framed = made.around(streams)
    inside = b"".join(said)
    text = noise + made.begin + inside + made.end + after
    for at in range(0, len(text), size):
        framed.stdout.add(text[at : at + size])
    framed.finish()
    assert framed.begun
    assert streams.completed(0).stdout == inside


def test_output_is_handed_on_before_its_line_ends_and_cut_off_output_is_kept() -> None:
    made, said = Frame(), bytearray()
    framed = made.around(Streams(said.extend))
    framed.stdout.add(made.begin + b"half a line")
    assert said == b"half a line"
    framed.stdout.add(b" and " + made.end[:5])
    assert said == b"half a line and "
    framed.finish()
    assert said == b"half a line and " + made.end[:5]


def test_a_flood_of_noise_is_not_kept() -> None:
    made = Frame()
    framed = made.around(Streams(None))
    for _ in range(100):
        framed.stdout.add(b"x" * 65536)
    framed.finish()
    assert not framed.begun
    assert len(framed.noise) <= COMPLAINT


def test_the_command_does_not_contain_its_own_lines() -> None:
    made = Frame()
    command = made.command(["true"]).encode()
    assert made.begin.strip() not in command
    assert made.end.strip() not in command
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (made.begin + made.end, made.begin)


def noisy(channel: paramiko.Channel, command: bytes) -> None:
    """Print before and after the command, as start-up files and a trap of the shell do."""
    text = command.decode()
    run_command(
        channel, f"echo hello; echo complaint >&2; {text}; e=$?; echo bye; exit $e".encode()
    )


def test_a_login_shell_that_prints_changes_no_answer() -> None:
    with serving(noisy) as server:
        transport = connect(server)
        done = transport.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10)
        assert (done.status, done.stdout) == (3, b"out\n")
        assert done.stderr == b"err\n"
        with transport.guarded(["sh", "-c", "echo begun; cat"]):
            assert transport.run(["echo", "well"], timeout=10).stdout == b"well\n"
        transport.close()


def something_else(channel: paramiko.Channel, command: bytes) -> None:
    run_command(channel, b'echo "tester: \033[2Jmenu"; exit 4')


def test_an_account_that_runs_something_else_is_named() -> None:
    with serving(something_else) as server:
        transport = connect(server)
        with pytest.raises(InfrastructureError, match="cannot run `sh` there") as caught:
            transport.run(["true"], timeout=10)
        assert r"'tester: \x1b[2Jmenu' and ends with status 4" in str(caught.value)
        assert f"ssh -p {server.port} root@127.0.0.1 echo works" in str(caught.value.hint)
        transport.close()


def stderr_closed(channel: paramiko.Channel, command: bytes) -> None:
    time.sleep(0.1)  # paramiko's server replies to `exec` only after it has called this
    channel.sendall(frame(command) + b"out\n")
    channel.send_exit_status(0)
    channel.close()


def test_a_stream_without_the_frame_is_as_it_comes() -> None:
    """A start-up file may have sent standard error elsewhere."""
    with serving(stderr_closed) as server:
        transport = connect(server)
        done = transport.run(["true"], timeout=10)
        assert (done.stdout, done.stderr) == (b"out\n", b"")
        transport.close()
