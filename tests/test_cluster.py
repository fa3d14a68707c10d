"""What a cluster's two sides say to each other, and whom home connects to; without a network."""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import msgspec
import pytest

from harness import guests
from harness.cluster import connect, identity, messages
from harness.cluster.channel import ChannelError
from harness.cluster.crew import Worker
from harness.cluster.desk import Desk
from harness.cluster.identity import Identity
from harness.cluster.line import WAITING, Line
from harness.cluster.messages import (
    Beat,
    Begun,
    Close,
    ConsoleText,
    Done,
    Ended,
    Failed,
    Input,
    Log,
    Message,
    Order,
    Output,
    Push,
    Run,
    Up,
    WrongMessageError,
    encode,
    failed,
    from_home,
    from_worker,
    raised,
)
from harness.cluster.names import LONGEST, machine_name, unique
from harness.cluster.plain import only_plain_pickles
from harness.cluster.remote import RemoteTransport
from harness.deadline import Deadline
from harness.errors import (
    AgentError,
    BootError,
    CommandTimeoutError,
    GuestLostError,
    HarnessError,
    ImageError,
    InfrastructureError,
    MachineLostError,
    NotRunError,
    Phase,
    UsageError,
)
from harness.machine.resources import guests_folder
from harness.machine.version import version
from harness.model import GUEST_NAME

ROOT = Path(__file__).parent.parent

SAID = [
    Beat(),
    Begun(),
    Up({"provider": "qemu"}, ("/tmp",)),
    Output(b"line\n"),
    Done(3, b"out", b"err", truncated=True),
    Failed("GuestLostError", "it died", Phase.SCENARIO, "look", "panic"),
    Log(30, "downloading"),
    ConsoleText(b"[    0.0]"),
    Ended(),
]

ASKED = [Beat(), Run(("true",), 5.0, 0, 2.0, streamed=True), Push("/x", 5.0, 3), Input(b"abc")]


@pytest.mark.parametrize("message", SAID, ids=lambda one: type(one).__name__)
def test_what_a_worker_says_arrives(message: Message) -> None:
    assert from_worker(encode(message)) == message


@pytest.mark.parametrize("message", [*ASKED, Close()], ids=lambda one: type(one).__name__)
def test_what_home_asks_arrives(message: Message) -> None:
    assert from_home(encode(message)) == message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xc1",
        bytes(range(100)),
        encode(Close()),  # only home says it
        encode(Output(b"x")) + b"y",
        encode(Output(b"x" * (messages.PIECE + 1))),
        encode(Output(b"x"))[:-1],
        b"\x91" * 10_000,
        msgspec.msgpack.encode({"type": "Output", "piece": b"", "more": 1}),
        msgspec.msgpack.encode({"type": "Log", "level": 99, "text": ""}),
        msgspec.msgpack.encode({"type": "Up", "provenance": {"a": 1}, "folders": ["/tmp"]}),
        msgspec.msgpack.encode({"type": "Up", "provenance": {}, "folders": []}),
        msgspec.msgpack.encode({"type": "Failed", "kind": "x", "message": "", "phase": "lunch"}),
        msgspec.msgpack.encode({"type": "Log", "level": 1, "text": "x" * (messages.TEXT + 1)}),
    ],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(WrongMessageError):
        from_worker(content)


def test_a_message_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(WrongMessageError, match="too long"):
        from_worker(b"x" * (messages.LONGEST + 1))


@pytest.mark.parametrize(
    "error",
    [
        BootError("no", hint="do", console="panic"),
        GuestLostError(Phase.SCENARIO, "lost", console="words"),
        CommandTimeoutError(Phase.FACTS, "late"),
        AgentError(Phase.PUSH, "wrong"),
        ImageError("bad sum", hint="again"),
        InfrastructureError(Phase.DESTROY, "stuck"),
        NotRunError("no QEMU", hint="install it"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_error_is_raised_at_home_as_it_was_there(error: HarnessError) -> None:
    found = raised(from_worker_failed(error))
    assert isinstance(found, type(error) if not isinstance(error, ImageError) else HarnessError)
    assert (str(found), found.hint) == (str(error), error.hint)
    if isinstance(error, InfrastructureError):
        assert isinstance(found, InfrastructureError)
        assert (found.phase, found.console) == (error.phase, error.console)


def from_worker_failed(error: HarnessError) -> Failed:
    message = from_worker(encode(failed(error)))
    assert isinstance(message, Failed)
    return message


def test_long_and_odd_texts_are_cut_and_not_refused() -> None:
    odd = "\udcff" + "x" * 10_000
    found = from_worker_failed(GuestLostError(Phase.BOOT, odd, hint=odd, console=odd))
    assert found.message.startswith("?xxx")
    assert len(found.message) == len(found.console) == messages.TEXT


def test_a_worker_cannot_choose_what_is_raised() -> None:
    for kind in ("UsageError", "SystemExit", "MachineLostError", ""):
        assert type(raised(Failed(kind, "x"))) is InfrastructureError


def test_every_guest_file_travels() -> None:
    found = tuple(guests.load([guests_folder()]).values())
    order = Order("channel", found, ("nginx",), "qemu", cold=True, seconds=5.0)
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order


class Pipe:
    """A channel in this process; `far` is what the other side puts."""

    def __init__(self) -> None:
        self.name = "pipe"
        self.sent: list[bytes] = []
        self.far: Queue[bytes | ChannelError] = Queue()

    def put(self, content: bytes, timeout: float | None = None) -> None:
        self.sent.append(content)

    def get(self) -> bytes:
        found = self.far.get()
        if isinstance(found, ChannelError):
            raise found
        return found

    def close(self, *, alone: bool = False) -> None:
        self.sent.append(b"closed")

    def say(self, *said: Message) -> "Pipe":
        for one in said:
            self.far.put(encode(one))
        return self


def line_over(pipe: Pipe, console: Callable[[bytes], object] = bytes) -> Line:
    return Line(pipe, "mac", "guest: mac", console)  # type: ignore[arg-type]


def soon() -> Deadline:
    return Deadline(5.0)


def test_answers_come_in_order_and_the_rest_goes_where_it_belongs() -> None:
    pipe, text = Pipe(), bytearray()
    line = line_over(pipe, text.extend)
    pipe.say(Begun(), Beat(), ConsoleText(b"a"), Up({}, ("/tmp",)), ConsoleText(b"b"), Done())
    assert isinstance(line.answer(soon()), Up)
    assert isinstance(line.answer(soon()), Done)
    assert line.begun
    assert bytes(text) == b"ab"


def test_nonsense_loses_the_machine_but_not_what_came_before() -> None:
    pipe = Pipe().say(Begun(), Output(b"last words"))
    pipe.far.put(b"nonsense")
    line = line_over(pipe)
    assert line.answer(soon()) == Output(b"last words")
    with pytest.raises(MachineLostError, match=r"mac is lost: no message of ours") as caught:
        line.answer(soon())
    assert caught.value.hint is not None
    assert "--resume" in caught.value.hint


def test_a_silent_machine_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cluster.line.SILENCE", 0.0)
    line = line_over(Pipe().say(Begun(), Done()))
    assert line.answer(soon()) == Done()
    line.watch()
    with pytest.raises(MachineLostError, match="said nothing"):
        line.answer(soon())


def test_a_task_that_waits_for_its_cpus_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cluster.line.SILENCE", 0.0)
    line = line_over(Pipe())
    line.watch()
    assert line.answer(Deadline(0.1)) is None


def test_home_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cluster.line.BEAT", 0.0)
    pipe = Pipe()
    line_over(pipe).watch()
    assert pipe.sent == [encode(Beat())]


def test_a_task_that_crashed_is_lost_at_once() -> None:
    line = line_over(Pipe().say(Begun(), Ended("it crashed: KeyError")))
    with pytest.raises(MachineLostError, match="KeyError"):
        line.answer(soon())
    with pytest.raises(MachineLostError, match="its task has ended"):
        line.answer(soon())


def test_a_flood_is_not_read_until_somebody_takes_it() -> None:
    pipe = Pipe().say(*[Output(b"x")] * (WAITING + 50))
    line = line_over(pipe)
    assert line.answer(soon()) == Output(b"x")
    for _ in range(100):
        if pipe.far.qsize() <= 50:
            break
        threading.Event().wait(0.02)
    assert pipe.far.qsize() >= 40


def test_the_log_of_a_worker_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    pipe = Pipe().say(*[Log(30, "x" * 4000)] * 700, Done())
    assert line_over(pipe).answer(Deadline(20.0)) == Done()
    assert len(caplog.records) == 500
    assert max(len(record.getMessage()) for record in caplog.records) < 1100


def transport_over(*said: Message) -> tuple[RemoteTransport, Pipe]:
    pipe = Pipe().say(*said)
    return RemoteTransport(line_over(pipe), Up({"provider": "host"}, ("/tmp",)), "mac"), pipe


def test_a_command_runs_there() -> None:
    transport, pipe = transport_over(Output(b"one\n"), Output(b"two\n"), Done(1, b"", b"why"))
    taken: list[bytes] = []
    stdin = b"q" * (messages.PIECE + 1)
    done = transport.run(["agent"], stdin=stdin, timeout=5.0, silence=1.0, into=taken.append)
    assert (done.status, done.stderr, taken) == (1, b"why", [b"one\n", b"two\n"])
    asked, *rest = map(from_home, pipe.sent)
    assert asked == Run(("agent",), 5.0, len(stdin), 1.0, streamed=True)
    assert b"".join(one.piece for one in rest if isinstance(one, Input)) == stdin
    assert transport.provenance == {"provider": "host", "machine": "mac"}


def test_output_that_nobody_asked_for_loses_the_machine() -> None:
    transport, _ = transport_over(Output(b"surprise"))
    with pytest.raises(MachineLostError, match="Output at the wrong time"):
        transport.run(["true"], timeout=5.0)


def test_an_output_without_end_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cluster.remote.CAP", 100)
    transport, _ = transport_over(*[Output(b"x" * 30)] * 10, Done())
    taken = bytearray()
    done = transport.run(["yes"], timeout=5.0, into=taken.extend)
    assert (len(taken), done.truncated) == (100, True)


def test_a_push_that_fails_is_about_the_push() -> None:
    transport, _ = transport_over(Failed("GuestLostError", "gone", Phase.SCENARIO))
    with pytest.raises(GuestLostError) as caught:
        transport.push(b"x", "/tmp/x", timeout=1.0)
    assert caught.value.phase is Phase.PUSH


def test_a_closed_transport_says_that_the_guest_is_lost() -> None:
    transport, pipe = transport_over()
    transport.close()
    assert pipe.sent == [encode(Close())]
    with pytest.raises(GuestLostError, match="closed"):
        transport.run(["true"], timeout=1.0)


def desk_over(pipe: Pipe) -> Desk:
    return Desk(pipe)  # type: ignore[arg-type]


def test_a_desk_puts_the_pieces_of_an_input_together() -> None:
    pipe = Pipe().say(Beat(), Run(("cat",), 5.0, 4), Input(b"ab"), Input(b"cd"), Close())
    with desk_over(pipe).open() as desk:
        jobs = list(desk.jobs())
    assert [(one.asked, bytes(one.content)) for one in jobs] == [(Run(("cat",), 5.0, 4), b"abcd")]
    assert not desk.alone


@pytest.mark.parametrize("wrong", [Input(b"x"), Run(("true",), 1.0, 1 << 40)])
def test_a_desk_leaves_when_home_talks_nonsense(wrong: Message) -> None:
    with desk_over(Pipe().say(wrong)).open() as desk:
        assert list(desk.jobs()) == []
    assert desk.cancellation.said


def test_a_desk_leaves_when_the_scheduler_is_gone() -> None:
    pipe = Pipe()
    pipe.far.put(ChannelError("gone"))
    with desk_over(pipe).open() as desk:
        assert list(desk.jobs()) == []
    assert desk.alone


def test_a_desk_leaves_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: bytes, timeout: float | None = None) -> None:
        raise ChannelError(f"full for {timeout:g} s")

    pipe = Pipe()
    monkeypatch.setattr(pipe, "put", full)
    with desk_over(pipe).open() as desk:
        desk.say(Output(b"x"))
        assert list(desk.jobs()) == []
    assert desk.alone


def test_a_desk_leaves_when_home_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cluster.desk.SILENCE", 0.0)
    monkeypatch.setattr("harness.cluster.desk.BEAT", 0.01)
    with desk_over(Pipe()).open() as desk:
        assert list(desk.jobs()) == []
    assert desk.alone


@pytest.mark.parametrize(
    ("given", "host", "name"),
    [
        ("mac-mini", "h", "mac-mini"),
        ("tcp://127.0.0.1:5", "kvm.lab.example", "kvm.lab.example"),
        (3, "box", "box"),
        (None, "box", "box"),
        ("../../etc", "h", "etc"),
        ("a b/c\x1b[2J", "h", "a-b-c-2J"),
        ("@@@", "h", "machine"),
        ("x" * 200, "h", "x" * LONGEST),
    ],
)
def test_a_machine_has_a_name_that_fits_a_folder(given: object, host: str, name: str) -> None:
    found = machine_name(given, "tcp://127.0.0.1:5", host)
    assert found == name
    assert GUEST_NAME.fullmatch(found)


def test_names_are_unique() -> None:
    assert unique(["a", "a", "a-2", "b"]) == ("a", "a-2", "a-2-2", "b")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("127.0.0.1", "tcp://127.0.0.1:8786"),
        ("localhost:9", "tcp://localhost:9"),
        ("tcp://[::1]:9", "tcp://[::1]:9"),
        ("tls://lab.example", "tls://lab.example:8786"),
    ],
)
def test_an_address_is_completed(given: str, address: str) -> None:
    assert connect.check_address(given, without_tls=False) == address


@pytest.mark.parametrize("given", ["tcp://192.0.2.1:8786", "192.0.2.1:8786", "tcp://0.0.0.0:1"])
def test_another_machine_needs_tls_or_a_word_of_consent(given: str) -> None:
    with pytest.raises(UsageError, match="has no TLS") as caught:
        connect.check_address(given, without_tls=False)
    assert caught.value.hint is not None
    assert "--cluster-without-tls" in caught.value.hint
    assert connect.check_address(given, without_tls=True).startswith("tcp://")


@pytest.mark.parametrize("given", ["", "http://x", "inproc://x", "tcp://", "tcp://h:99999", "a/b"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="no address of a scheduler"):
        connect.check_address(given, without_tls=True)


def worker(name: str, version: str, digest: str) -> Worker:
    known = Identity(version, digest, name, "Linux", "x86_64", "x86_64-linux-musl", 2, 1, False)
    return Worker(name, f"tcp://{name}", 2, known)


def test_only_machines_with_the_same_program_are_used(caplog: pytest.LogCaptureFixture) -> None:
    ours = worker("ours", version(), identity.digest())
    other, bare = worker("other", "9.9", "abc"), Worker("bare", "tcp://x", 1, None)
    assert connect.equals([ours, other, bare], "tcp://s") == (ours,)
    assert "other has version 9.9 (abc), and this is" in caplog.text
    assert "bare (tcp://x) was started without our preload" in caplog.text
    with pytest.raises(UsageError, match="has no machine for this run") as caught:
        connect.equals([other, bare], "tcp://s")
    assert "9.9" in str(caught.value)
    with pytest.raises(UsageError, match="no worker has joined"):
        connect.equals([], "tcp://s")


class Surprise:
    """Prints when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Return how to make it again."""
        return print, ("gotcha",)


def test_only_plain_data_is_unpickled(capsys: pytest.CaptureFixture[str]) -> None:
    evil = pickle.dumps(Surprise())
    with only_plain_pickles():
        assert pickle.loads(pickle.dumps({"a": [1, b"x", None]})) == {"a": [1, b"x", None]}
        for load in (pickle.loads, pickle._loads):  # type: ignore[attr-defined]  # in C, in Python
            with pytest.raises(pickle.UnpicklingError, match="only plain data"):
                load(evil)
    assert capsys.readouterr().out == ""
    pickle.loads(evil)
    assert capsys.readouterr().out == "gotcha\n"


def test_a_run_without_a_cluster_imports_nothing_of_dask(tmp_path: Path) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "from harness.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    words = ["run", "host", "--provider", "ssh", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    loaded = done.stderr.splitlines()[-1].split()
    assert "harness.run.engine" in loaded
    unwanted = ("dask", "distributed", "tornado", "msgpack", "harness.cluster")
    assert [one for one in loaded if one.startswith(unwanted)] == []


def test_without_dask_a_clear_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="not installed") as caught, connect.connected("localhost"):
        pass
    assert caught.value.hint is not None
    assert "[cluster]" in caught.value.hint
