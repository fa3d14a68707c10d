"""A point on the monotonic clock that waits share, and the one word that ends them all."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GLANCE = 0.2
"""Seconds between two looks at a deadline, where the wait itself hears no cancellation."""


class Cancellation:
    """Said once (Ctrl-C, TERM, HUP), heard by every thread: deadlines pass, transports close."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said = threading.Event()
        self._hooks: dict[int, Callable[[], None]] = {}

    @property
    def said(self) -> bool:
        """Whether the run is to end."""
        return self._said.is_set()

    def say(self) -> None:
        """End every wait that is bound to this; a second time does nothing."""
        self._said.set()
        with self._lock:
            hooks = tuple(self._hooks.values())
            self._hooks.clear()
        for hook in hooks:
            hook()

    @contextmanager
    def hooked(self, hook: Callable[[], None]) -> Iterator[None]:
        """Call `hook` if the word is said inside this block, at once if it was said before."""
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
    """So many seconds from now; waits take what is `left`. Passed at once when cancelled.

    With `silence` it passes also when nothing was `heard` for so many seconds.
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
        """Begin the silence anew."""
        if self._silence is not None:
            self._silent = time.monotonic() + self._silence

    @property
    def missed(self) -> str:
        """What did not happen, for a message that begins with who was waited for."""
        if self._silence is not None and self._silent < self._end:
            return f"said nothing for {self._silence:g} s"
        return f"did not end within {self.seconds:g} s"

    @property
    def cancelled(self) -> bool:
        """Whether it passed because the run is to end, not because time ran out."""
        return self._cancellation is not None and self._cancellation.said

    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return 0.0 if self.cancelled else max(0.0, min(self._end, self._silent) - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0

    def within(self, seconds: float) -> "Deadline":
        """Return a deadline of at most `seconds` that does not outlive this one."""
        return Deadline(min(seconds, self.left()), self._cancellation)

    def afresh(self, seconds: float) -> "Deadline":
        """Return a deadline of `seconds` from now, which the same word ends."""
        return Deadline(seconds, self._cancellation)
