"""What home and a worker say to each other: one struct each, as msgpack, decoded strictly.

A worker is trusted as little as a guest: whatever it sends is one of these, within these limits, or
it is refused as a whole.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from harness.errors import (
    AgentError,
    BootError,
    CommandTimeoutError,
    GuestLostError,
    HarnessError,
    InfrastructureError,
    NotRunError,
    Phase,
)
from harness.model import Guest
from harness.protocols import NO_ROOT, Completed, ServerRoot

PIECE = 64 << 10
"""The most bytes of a command's input or output, or of a console, in one message."""

LONGEST = 512 << 10
"""The most bytes of a message: a completed command with both streams, and room for names."""

TEXT = 4000
"""The most characters of a text for people. A console's end may have as many."""

Bytes = Annotated[bytes, Meta(max_length=PIECE)]
Text = Annotated[str, Meta(max_length=TEXT)]
Seconds = Annotated[float, Meta(ge=0, le=10 * 86400)]
Factor = Annotated[float, Meta(ge=1, le=100)]
Facts = Annotated[Mapping[Text, Text], Meta(max_length=100)]


class WrongMessageError(HarnessError):
    """Bytes that are no message, too many bytes, or a message in the wrong place."""


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag=True, omit_defaults=True):
    """The parent of all messages."""


class Beat(Message, frozen=True):
    """The sender is alive. Both sides send it every few seconds."""


class Run(Message, frozen=True):
    """Home: run this command in the guest; its input follows, `size` bytes in pieces.

    With `streamed`, its output is sent while it runs.
    """

    argv: tuple[str, ...]
    timeout: Seconds
    size: int
    silence: Seconds | None = None
    streamed: bool = False


class Push(Message, frozen=True):
    """Home: write this file in the guest; its content follows, `size` bytes in pieces."""

    path: str
    timeout: Seconds
    size: int
    executable: bool = False


class Input(Message, frozen=True):
    """Home: the next piece of a command's input or a file's content."""

    piece: Bytes


class Close(Message, frozen=True):
    """Home: end the guest; whatever runs in it, too."""


class Begun(Message, frozen=True):
    """Worker: the task runs; it may have waited for CPUs."""


class Up(Message, frozen=True):
    """Worker: the guest is up. This is what its `Transport` says of it."""

    provenance: Facts
    folders: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=16)]
    server_root: ServerRoot = NO_ROOT


class Output(Message, frozen=True):
    """Worker: a piece of a command's standard output."""

    piece: Bytes


class Done(Message, frozen=True):
    """Worker: the command ended, or the file is written."""

    status: int = 0
    stdout: Bytes = b""
    stderr: Bytes = b""
    truncated: bool = False

    @property
    def completed(self) -> Completed:
        """The result of `Transport.run`."""
        return Completed(self.status, self.stdout, self.stderr, self.truncated)


class Failed(Message, frozen=True):
    """Worker: the boot, the command or the file failed with this error (`raised`)."""

    kind: Text
    message: Text
    phase: Phase = Phase.BOOT
    hint: Text | None = None
    console: Text = ""


class Log(Message, frozen=True):
    """Worker: what a provider logs there."""

    level: Annotated[int, Meta(ge=0, le=50)]
    text: Text


class ConsoleText(Message, frozen=True):
    """Worker: the next piece of the guest's console log."""

    piece: Bytes


class Offered(Message, frozen=True):
    """Worker: how it would start a guest, or why it cannot (`why`)."""

    guest: Text
    provider: Text = ""
    download: Text | None = None
    why: Text = ""
    hint: Text | None = None


class Room(Message, frozen=True):
    """Worker: its free memory in bytes, after the last `Offered`."""

    memory: Annotated[int, Meta(ge=0)]


class Ended(Message, frozen=True):
    """Worker: the guest is gone, and so is the task. Its last message; `problem`: a crash there."""

    problem: Text = ""


FromHome = Beat | Run | Push | Input | Close

FromWorker = Beat | Begun | Up | Output | Done | Failed | Log | ConsoleText | Offered | Room | Ended


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """What a task is given: the guests it is about, and the settings of the run.

    `channel` is the name of its queues. `only` is the one provider that the user allows. `seconds`
    limits the boot.
    """

    channel: str
    guests: tuple[Guest, ...]
    packages: tuple[str, ...] = ()
    only: str | None = None
    cold: bool = False
    seconds: float = 0.0


def encode(message: Message) -> bytes:
    """Return a message as bytes."""
    return msgspec.msgpack.encode(message)


Said = TypeVar("Said")

_HOME: msgspec.msgpack.Decoder[FromHome] = msgspec.msgpack.Decoder(FromHome)
_WORKER: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def from_home(content: bytes) -> FromHome:
    """Return the message in these bytes, which home sent; raise `WrongMessageError`."""
    return _decoded(_HOME, content)


def from_worker(content: bytes) -> FromWorker:
    """Return the message in these bytes, which a worker sent; raise `WrongMessageError`."""
    return _decoded(_WORKER, content)


def _decoded(decoder: msgspec.msgpack.Decoder[Said], content: bytes) -> Said:
    if len(content) > LONGEST:
        raise WrongMessageError(f"a message of {len(content)} bytes, which is too long")
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise WrongMessageError(f"no message of ours: {exc}") from exc


def pieces(content: bytes) -> Iterator[bytes]:
    """Cut bytes into pieces that fit into a message."""
    for begin in range(0, len(content), PIECE):
        yield content[begin : begin + PIECE]


def failed(error: HarnessError) -> Failed:
    """Return the message about an error; texts are cut, and made fit for msgpack."""
    if not isinstance(error, InfrastructureError):
        return Failed(NotRunError.__name__, text(error), hint=_hint(error))
    kinds = [kind.__name__ for kind in type(error).__mro__]
    kind = next((one for one in kinds if one in (*BY_NAME, BootError.__name__)), "")
    console = text(error.console[-TEXT:])
    return Failed(kind, text(error), error.phase, _hint(error), console)


def raised(failure: Failed) -> HarnessError:
    """Return the error that a worker reports; one of an unknown kind is an ordinary failure."""
    if failure.kind == NotRunError.__name__:
        return NotRunError(failure.message, hint=failure.hint)
    error: InfrastructureError = BootError(failure.message)
    if failure.kind != BootError.__name__:
        error = BY_NAME.get(failure.kind, InfrastructureError)(failure.phase, failure.message)
    error.phase = failure.phase
    error.hint, error.console = failure.hint, failure.console
    return error


BY_NAME: Mapping[str, type[InfrastructureError]] = {
    one.__name__: one for one in (GuestLostError, CommandTimeoutError, AgentError)
}
"""Errors that a worker may raise at home, besides `NotRunError`, `BootError` and their parent."""


def _hint(error: HarnessError) -> str | None:
    return None if error.hint is None else text(error.hint)


def text(said: object) -> str:
    """Return a text that fits into a message: no lone surrogates, and not too long."""
    return str(said)[:TEXT].encode(errors="replace").decode()
