"""Home's end of a channel: passes on what a worker's task says, and knows when it is lost."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from harness.cluster.channel import Channel, ChannelError
from harness.cluster.messages import (
    Beat,
    Begun,
    Close,
    ConsoleText,
    Ended,
    Failed,
    FromWorker,
    Log,
    Message,
    WrongMessageError,
    encode,
    from_worker,
    raised,
)
from harness.deadline import GLANCE, Deadline
from harness.errors import HarnessError, MachineLostError, Phase

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)  # what the worker's own loggers let pass

SILENCE = 25.0
"""Seconds without a word from a task after which its machine is lost."""

BEAT = 4.0
"""Seconds between two signs of life of ours."""

PUT_SECONDS = 30.0
"""How long a full queue is waited for. A worker reads at once, so then it is not there."""

WAITING = 64
"""Messages that nobody has taken yet, after which no more are read. The task then waits, too."""


LOGGED, LOGGED_TEXT = 500, 1000
"""The most log lines of one task that are shown, and the most characters of each. The usual case is
a line every few seconds of a download."""


def _ignored(_: bytes) -> None:
    return


class Line:
    """One task's messages. One thread asks and waits for answers; others may `lose` it.

    `subject` is what the log says before a line of the task's. `console` takes the guest's console.
    """

    def __init__(
        self,
        channel: Channel,
        machine: str,
        subject: str,
        console: Callable[[bytes], object] = _ignored,
    ) -> None:
        self.machine = machine
        self.begun = self.ended = False
        self._channel = channel
        self._subject = subject
        self._console = console
        self._answers: queue.Queue[FromWorker] = queue.Queue(WAITING)
        self._lost: str | None = None
        self._logged = 0
        self._hanging_up = threading.Lock()
        self._hung_up = False
        self._heard = self._beaten = time.monotonic()
        threading.Thread(target=self._listen, name="line", daemon=True).start()

    def say(self, message: Message) -> None:
        """Send a message; raise `MachineLostError`."""
        self._check()
        try:
            self._channel.put(encode(message), PUT_SECONDS)
        except ChannelError as exc:
            self.lose(str(exc))
            self._check()

    def answer(self, deadline: Deadline) -> FromWorker | None:
        """Return the next answer, or None at the deadline.

        Raise what the task says that failed, or `MachineLostError`.
        """
        while True:
            try:
                message = self._answers.get(timeout=min(GLANCE, deadline.left()))
            except queue.Empty:
                self._check()  # after what came before the loss
                if deadline.passed:
                    return None
                continue
            if isinstance(message, Failed):
                raise raised(message)
            if isinstance(message, Ended) and message.problem:
                raise lost(self.machine, f"its task ended: {message.problem}")
            return message

    def wrong(self, message: FromWorker) -> MachineLostError:
        """Give the task up for an answer that does not fit the question; return the error."""
        why = f"it says {type(message).__name__} at the wrong time"
        self.lose(why)
        return lost(self.machine, why)

    def lose(self, why: str) -> None:
        """Give the task up: whoever waits for it gets a `MachineLostError`."""
        if self._lost is None and not self.ended:
            self._lost = why

    def watch(self) -> None:
        """Note silence, and say that home is alive. Called every second or so, from one thread."""
        now = time.monotonic()
        if self._lost is not None or self.ended:
            return
        if self.begun and now - self._heard > SILENCE:
            self.lose(f"it said nothing for {SILENCE:g} s")
        elif now - self._beaten >= BEAT:
            self._beaten = now
            try:
                self._channel.put(encode(Beat()), PUT_SECONDS)
            except ChannelError as exc:
                self.lose(str(exc))

    def hang_up(self) -> None:
        """Tell the task, once, to end its guest; from any thread, and without an answer."""
        with self._hanging_up:
            done, self._hung_up = self._hung_up, True
        if done:
            return
        try:
            self._channel.put(encode(Close()), BEAT)
        except ChannelError as exc:
            self.lose(str(exc))

    def close(self, seconds: float) -> bool:
        """Let the task end its guest; return whether it says, within this time, that it did."""
        self.hang_up()  # also if it is lost: it may hear that later
        over = Deadline(seconds)
        while not (self.ended or over.passed or self._lost):
            with contextlib.suppress(queue.Empty):  # nobody wants these answers
                self._answers.get(timeout=min(GLANCE, over.left()))
        return self.ended

    def leave(self) -> None:
        """Leave the channel."""
        try:
            self._channel.close()
        except ChannelError as exc:
            logger.debug("%s", exc)

    def _listen(self) -> None:
        try:
            while not self.ended:
                message = from_worker(self._channel.get())
                self._heard = time.monotonic()
                self._take(message)
        except (ChannelError, WrongMessageError) as exc:
            self.lose(str(exc))
        except HarnessError as exc:  # the console's file cannot be written
            self.lose(f"what it says cannot be kept: {exc}")

    def _take(self, message: FromWorker) -> None:
        match message:
            case Beat():
                return
            case Begun():
                self.begun = True
            case Log(level, text):
                self._log(level, text)
            case ConsoleText(piece):
                self._console(piece)
            case _:
                self._answers.put(message)
                self.ended = isinstance(message, Ended)

    def _log(self, level: int, text: str) -> None:
        self._logged += 1
        if self._logged <= LOGGED:
            logger.log(level, "%s: %s", self._subject, text[:LOGGED_TEXT])

    def _check(self) -> None:
        why = self._lost or ("its task has ended" if self.ended else None)
        if why is not None and self._answers.empty():
            raise lost(self.machine, why)


def lost(machine: str, why: str) -> MachineLostError:
    """Return the error for a machine that does not answer any more."""
    return MachineLostError(
        Phase.CONNECT,
        f"the machine {machine} is lost: {why}",
        hint="what was measured is kept; `run --resume` measures the rest, with or without "
        "--cluster",
    )
