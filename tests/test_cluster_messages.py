"""What a cluster's two sides say to each other: strictly decoded, within limits."""

import msgspec
import pytest

from harness import guests
from harness.cluster import messages
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
from harness.errors import (
    AgentError,
    BootError,
    CommandTimeoutError,
    GuestLostError,
    HarnessError,
    ImageError,
    InfrastructureError,
    NotRunError,
    Phase,
)
from harness.machine.resources import guests_folder

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
