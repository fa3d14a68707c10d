"""Shows what a run is doing: as a live table on a terminal, as plain lines elsewhere."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.errors import Phase
from harness.model import State, Trial
from harness.protocols import Progress
from harness.text import visible

NOTABLE = (State.INFRASTRUCTURE, State.INCONCLUSIVE)
"""States that get a line of their own in a log; the matrix shows the others at the end."""


class Face(Progress, Protocol):
    """Shows progress, and is also told when a guest has ended."""

    def ended(self, guest: str, how: str) -> None:
        """Report that a guest has ended, and how, in a few words."""


class LogLines:
    """Writes one line per event, with the time of day: for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}

    def say(self, text: str) -> None:
        """Write a line."""
        stamp = time.strftime("%H:%M:%S")
        self._console.print(Text(f"{stamp} {visible(text)}"), soft_wrap=True)

    def phase(self, guest: str, phase: Phase, detail: str = "") -> None:
        """Write a line unless it repeats the last one of this guest."""
        text = f"{phase} {detail}".rstrip()
        with self._lock:
            if self._last.get(guest) != text:
                self._last[guest] = text
                self.say(f"{guest}: {text}")

    def trial(self, trial: Trial, done: int, total: int) -> None:
        """Write a line if the state needs attention (`NOTABLE`)."""
        outcome = trial.outcome
        if outcome.state in NOTABLE:
            with self._lock:
                where = f"{trial.guest}: {done} of {total}: {trial.cell.key}"
                self.say(f"{where}: {outcome.state}: {outcome.why}")

    def ended(self, guest: str, how: str) -> None:
        """Write the guest's last line."""
        with self._lock:
            self.say(f"{guest}: {how}")


class _Row:
    """The current state of one guest."""

    def __init__(self) -> None:
        self.doing = "waiting"
        self.since: float | None = None
        self.begun: float | None = None
        self.over: float | None = None
        self.done = 0
        self.total = 0
        self.states: Counter[State] = Counter()

    def columns(self, now: float) -> Sequence[str]:
        """Return the columns of the table after the guest's name."""
        progress = f"{self.done}/{self.total}" if self.total else ""
        elapsed = f"{(self.over or now) - self.begun:.0f} s" if self.begun is not None else ""
        here = f"{now - self.since:.0f} s" if self.since is not None and not self.over else ""
        words = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (self.doing, here, progress, elapsed, words)


class Board:
    """A table with a row for each guest, redrawn in place; log lines scroll by above it."""

    def __init__(self, console: Console, guests: Sequence[str]) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._rows = {guest: _Row() for guest in guests}

    def __rich__(self) -> RenderableType:
        """Return the current table; `Live` calls this a few times a second."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("guest", "doing", "for", "cells", "in all", "so far"):
            table.add_column(title, no_wrap=True)
        now = time.monotonic()
        with self._lock:
            for guest, row in self._rows.items():
                table.add_row(*(Text(visible(text)) for text in (guest, *row.columns(now))))
        return table

    def say(self, text: str) -> None:
        """Write a line above the table."""
        self._console.print(Text(visible(text)))

    def phase(self, guest: str, phase: Phase, detail: str = "") -> None:
        """Show what a guest is doing, and count the seconds from now."""
        doing = detail if phase is Phase.SCENARIO and detail else f"{phase} {detail}".rstrip()
        with self._lock:
            row = self._rows[guest]
            if row.doing != doing:
                row.doing, row.since = doing, time.monotonic()
            row.begun = row.begun or time.monotonic()

    def trial(self, trial: Trial, done: int, total: int) -> None:
        """Count a cell."""
        with self._lock:
            row = self._rows[trial.guest]
            row.done, row.total = done, total
            row.states[trial.outcome.state] += 1

    def ended(self, guest: str, how: str) -> None:
        """Stop the guest's clocks."""
        with self._lock:
            row = self._rows[guest]
            row.doing, row.over = how, time.monotonic()


class _Voice(logging.Handler):
    """Sends log records through the progress display, so that the two do not mix on the screen."""

    def __init__(self, face: LogLines | Board) -> None:
        super().__init__()
        self._face = face

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record line by line, with the whole traceback if it has one."""
        for line in self.format(record).splitlines():
            self._face.say(line)


@contextmanager
def following(guests: Sequence[str], *, verbose: bool = False) -> Iterator[Face]:
    """Show progress and the harness's log on standard error while the context lasts."""
    console = Console(stderr=True, highlight=False, emoji=False, markup=False)
    animated = console.is_terminal and not console.is_dumb_terminal
    face: LogLines | Board = Board(console, guests) if animated else LogLines(console)
    with speaking(face, verbose=verbose):
        if isinstance(face, LogLines):
            yield face
            return
        # The table vanishes at the end, because the matrix that follows shows more.
        live = Live(
            face,
            console=console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with live:
            yield face


@contextmanager
def speaking(face: LogLines | Board | None = None, *, verbose: bool = False) -> Iterator[None]:
    """Send the harness's log to standard error: only warnings unless `verbose`."""
    console = Console(stderr=True, highlight=False, emoji=False, markup=False)
    voice = _Voice(face or LogLines(console))
    logger = logging.getLogger("harness")
    before = logger.level
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.addHandler(voice)
    try:
        yield
    finally:
        logger.removeHandler(voice)
        logger.setLevel(before)
