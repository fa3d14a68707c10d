"""A preload for a worker that looks like ours and is hostile: it attacks home in one of many ways.

    HOSTILE=WAY CANARY=FOLDER dask worker … --preload hostile_worker

A process that runs the payload leaves a file in the folder, with its pid as the name.
"""

import copyreg
import os
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from distributed import get_client, get_worker
from distributed.protocol.serialize import Serialize

from harness.cluster import preload, task
from harness.cluster.channel import Channel
from harness.cluster.messages import Begun, Log, Message, Order, Output, Up, encode

if TYPE_CHECKING:
    from distributed import Worker

PAYLOAD = (
    "(__import__('pathlib').Path({!r}, str(__import__('os').getpid())).touch(), Exception('?'))[1]"
)
"""An expression, which leaves an exception: Dask tries its pickles out before it sends them."""


class HostileError(Exception):
    """Runs the payload wherever it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Return how to make it again."""
        return eval, (PAYLOAD.format(os.environ["CANARY"]),)


class _Meta(type):
    """The type of a type that runs the payload when it is unpickled."""


def _bait(_: type) -> tuple[Callable[[str], None], tuple[str]]:
    return HostileError().__reduce__()


class _Result(metaclass=_Meta):
    """A result; Dask sends its type to the client."""


def dask_setup(worker: "Worker") -> Any:
    """Join as a machine of ours, with another task."""
    copyreg.pickle(_Meta, _bait)  # type: ignore[arg-type]
    vars(task)["hold"] = ATTACKS[os.environ["HOSTILE"]]
    return preload.dask_setup(worker)


class _Raw:
    """A channel that is not ours to break the rules of."""

    def __init__(self, order: bytes) -> None:
        name = msgspec.json.decode(order, type=Order).channel
        self.channel = Channel(get_client(), name, home=False)

    def say(self, *messages: Message) -> "_Raw":
        for message in messages:
            self.channel.put(encode(message))
        return self

    def put(self, item: object) -> None:
        """Put anything into the queue to home."""
        self.channel._out.put(item)  # type: ignore[no-untyped-call]


def _object(order: bytes) -> None:
    hidden = Serialize(HostileError())  # type: ignore[no-untyped-call]
    _Raw(order).say(Begun()).put(hidden)


def _raised(order: bytes) -> NoReturn:
    _Raw(order).say(Begun())
    raise HostileError


def _result(order: bytes) -> Any:
    _Raw(order).say(Begun())
    return _Result()


def _event(order: bytes) -> None:
    raw = _Raw(order).say(Begun())
    worker = get_worker()
    worker.log_event("print", {"args": ("GOTCHA",)})
    worker.log_event("warn", {"message": pickle.dumps(HostileError())})
    raw.put(b"and this ends it")


def _rubbish(order: bytes) -> None:
    _Raw(order).say(Begun()).channel.put(os.urandom(1000))


def _repeated(order: bytes) -> None:
    raw = _Raw(order)
    raw.put((0).to_bytes(8) + encode(Begun()))
    raw.put((0).to_bytes(8) + encode(Begun()))


def _early(order: bytes) -> None:
    _Raw(order).say(Begun(), Output(b"before the guest is up"))


def _slow(order: bytes) -> None:
    _Raw(order).say(Begun(), Up({"slow_factor": "1e999"}, ("/tmp",)))


def _flood(order: bytes) -> None:
    raw = _Raw(order).say(Begun(), Up({"provider": "host"}, ("/tmp",)))
    while True:
        raw.say(Output(b"x" * 65536))


def _chatter(order: bytes) -> None:
    raw = _Raw(order).say(Begun())
    for _ in range(2000):
        raw.say(Log(30, "\x1b[2J GOTCHA " + "y" * 3000))


def _huge(order: bytes) -> None:
    _Raw(order).say(Begun()).channel.put(b"z" * (64 << 20))


ATTACKS: dict[str, Callable[[bytes], Any]] = {
    "object": _object,
    "raised": _raised,
    "result": _result,
    "event": _event,
    "rubbish": _rubbish,
    "repeated": _repeated,
    "early": _early,
    "slow": _slow,
    "flood": _flood,
    "chatter": _chatter,
    "huge": _huge,
}
