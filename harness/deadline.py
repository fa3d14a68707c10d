"""A deadline on the monotonic clock that several waits share, and a cancellation that ends all."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GLANCE = 0.2
"""Seconds between two checks of a deadline, for waits that do not notice a cancellation."""


class Cancellation:
    """Ends a run (Ctrl-C, TERM, HUP) in every thread: all deadlines pass, all transports close."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said = threading.Event()
        self._hooks: dict[int, Callable[[], None]] = {}

    @property
    def said(self) -> bool:
        """Whether the run was cancelled."""
        return self._said.is_set()

    def say(self) -> None:
        """Cancel: end every wait that depends on this. A second call does nothing."""
        self._said.set()
        with self._lock:
            hooks = tuple(self._hooks.values())
            self._hooks.clear()
        for hook in hooks:
            hook()

    @contextmanager
    def hooked(self, hook: Callable[[], None]) -> Iterator[None]:
        """Call `hook` if the run is cancelled during this block; at once if it already was."""
        # Register first and check after that: a cancellation in between calls the hook, perhaps
        # twice, but never misses it.
        with self._lock:
            self._hooks[id(hook)] = hook
        try:
            if self.said:
                hook()
            yield
        finally:
            with self._lock:
                self._hooks.pop(id(hook), None)


class Deadline:
    """A point in time, `seconds` from now. Waits take what is `left`. A cancellation passes it.

    With `silence`, it also passes when `heard` was not called for this many seconds.
    """

    def __init__(
        self,
        seconds: float,
        cancellation: Cancellation | None = None,
        *,
        silence: float | None = None,
    ) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._cancellation = cancellation
        self._silence = silence
        self._silent = self._end
        self.heard()

    def heard(self) -> None:
        """Restart the count of silent seconds."""
        if self._silence is not None:
            self._silent = time.monotonic() + self._silence

    @property
    def missed(self) -> str:
        """What did not happen in time; a message puts the name of the command before it."""
        if self._silence is not None and self._silent < self._end:
            return f"said nothing for {self._silence:g} s"
        return f"did not end within {self.seconds:g} s"

    @property
    def cancelled(self) -> bool:
        """Whether it passed because the run was cancelled, not because time ran out."""
        return self._cancellation is not None and self._cancellation.said

    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return 0.0 if self.cancelled else max(0.0, min(self._end, self._silent) - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0.0

    def within(self, seconds: float) -> "Deadline":
        """Return a deadline of at most `seconds` that does not outlive this one."""
        return Deadline(min(seconds, self.left()), self._cancellation)

    def afresh(self, seconds: float) -> "Deadline":
        """Return a new deadline, `seconds` from now, with the same cancellation."""
        return Deadline(seconds, self._cancellation)
