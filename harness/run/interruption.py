"""Turns INT, TERM and HUP into a word that is looked at, so that nothing ends half-way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Which signal asked this process to end, if any did."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def note(self, number: int, _: FrameType | None) -> None:
        """Remember the first signal: a handler that took locks could meet itself in them."""
        self.signal = self.signal or signal.Signals(number)


@contextmanager
def raising() -> Iterator[None]:
    """Let TERM and HUP unwind the stack as Ctrl-C does, once: guests end on the way out."""

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

    Not by SIG_IGN, which the shell would inherit (execve(2)).
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def listening() -> Iterator[Interruption]:
    """Note signals while the block runs; what is ignored (nohup, a shell's `&`) stays ignored."""
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
