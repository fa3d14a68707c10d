"""Notes INT, TERM and HUP so that the program can check for them and end its guests in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """The signal that asked this process to end; None if none did."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def note(self, number: int, _: FrameType | None) -> None:
        """Remember the first signal, and do no more: a handler that takes a lock can deadlock."""
        self.signal = self.signal or signal.Signals(number)


@contextmanager
def raising() -> Iterator[None]:
    """Let TERM and HUP raise `KeyboardInterrupt` as Ctrl-C does, so that guests are ended.

    Further signals are ignored, so that they cannot interrupt the clean-up.
    """

    def unwind(number: int, _: FrameType | None) -> None:
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, unwind)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf() -> Iterator[None]:
    """Leave Ctrl-C to the shell on the same terminal.

    SIG_IGN would not do: the shell would inherit it (execve(2)).
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def listening() -> Iterator[Interruption]:
    """Note signals during the block. A signal that was ignored (nohup, `&`) stays ignored."""
    interruption = Interruption()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interruption.note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
