"""Both ends of a channel, and a guest behind it; the test is the other side."""

import threading
from collections.abc import Callable

import pytest
from pipe_channel import Pipe

from harness.cluster import messages
from harness.cluster.channel import ChannelError
from harness.cluster.desk import Desk
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
    Output,
    Run,
    Up,
    encode,
    from_home,
)
from harness.cluster.remote import RemoteTransport
from harness.deadline import Deadline
from harness.errors import (
    GuestLostError,
    MachineLostError,
    Phase,
)


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
