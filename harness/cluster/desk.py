"""The worker's end of a channel: takes what home asks, and notices when home is gone."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator

from harness.cluster.channel import Channel, ChannelError
from harness.cluster.messages import (
    Beat,
    Close,
    Input,
    Log,
    Message,
    Push,
    Run,
    WrongMessageError,
    encode,
    from_home,
    text,
)
from harness.deadline import Cancellation

logger = logging.getLogger(__name__)

BEAT = 4.0
"""Seconds between two signs of life."""

SILENCE = 60.0
"""Seconds without a word from home after which a guest is ended. Home gives a worker up sooner."""

LARGEST = 64 << 20
"""Bytes of the largest input of a command, or file: an agent that the user names."""


class Job:
    """A command or a file that home asks for, with its whole input."""

    def __init__(self, asked: Run | Push) -> None:
        self.asked = asked
        self.content = bytearray()

    @property
    def whole(self) -> bool:
        """Whether all of its input has arrived."""
        return len(self.content) >= self.asked.size


class Desk:
    """Receives what home asks, one thing after the other, and says that the worker is alive.

    `cancellation` is said when home closes the channel, is gone, or the worker ends.
    """

    def __init__(self, channel: Channel) -> None:
        self.cancellation = Cancellation()
        self.alone = False
        self._channel = channel
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._heard = time.monotonic()

    def say(self, message: Message) -> None:
        """Send a message; if home does not read for `SILENCE`, or never again, the guest ends."""
        if self.alone:
            return
        try:
            self._channel.put(encode(message), SILENCE)
        except ChannelError as exc:
            self._leave(str(exc))

    def jobs(self) -> Iterator[Job]:
        """Yield each command and file until home closes the channel or is gone."""
        while (job := self._jobs.get()) is not None:
            yield job

    @contextlib.contextmanager
    def open(self) -> Iterator["Desk"]:
        """Listen and beat, each on its own thread, during the block."""
        over = threading.Event()
        with self.cancellation.hooked(lambda: self._jobs.put(None)):
            for work in (self._listen, lambda: self._beat(over)):
                threading.Thread(target=work, name="desk", daemon=True).start()
            try:
                yield self
            finally:
                over.set()

    def _listen(self) -> None:
        job: Job | None = None
        try:
            while True:
                message = from_home(self._channel.get())
                self._heard = time.monotonic()
                if isinstance(message, Close):
                    self.cancellation.say()
                    return
                job = self._taken(job, message)
        except (ChannelError, WrongMessageError) as exc:
            self._leave(str(exc))

    def _taken(self, job: Job | None, message: Message) -> Job | None:
        """Take a message; return the job that still waits for input."""
        if isinstance(message, Beat):
            return job
        if isinstance(message, Run | Push) and job is None and message.size <= LARGEST:
            job = Job(message)
        elif isinstance(message, Input) and job is not None:
            job.content += message.piece
        else:
            raise WrongMessageError(f"{type(message).__name__} in the wrong place")
        if not job.whole:
            return job
        self._jobs.put(job)
        return None

    def _beat(self, over: threading.Event) -> None:
        # Home may be slow to read, so that this waits. Its silence is noticed nevertheless.
        while not over.wait(BEAT) and not self.cancellation.said:
            if time.monotonic() - self._heard > SILENCE:
                self._leave(f"home said nothing for {SILENCE:g} s")
                return
            with contextlib.suppress(ChannelError):
                self._channel.put(encode(Beat()), timeout=BEAT)

    def _leave(self, why: str) -> None:
        if not self.cancellation.said:
            logger.warning("the guest is ended: %s", why)
            self.alone = True
        self.cancellation.say()


class Reporter(logging.Handler):
    """Sends home what this thread logs."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Send the text of a record."""
        if record.thread == self._thread and not self._desk.cancellation.said:
            self._desk.say(Log(min(record.levelno, logging.CRITICAL), text(self.format(record))))


@contextlib.contextmanager
def reporting(desk: Desk) -> Iterator[None]:
    """Send home what the harness logs in this thread during the block."""
    reporter, ours = Reporter(desk), logging.getLogger("harness")
    ours.addHandler(reporter)
    try:
        yield
    finally:
        ours.removeHandler(reporter)
