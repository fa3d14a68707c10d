"""A guest on another machine of the cluster, as a `Provider` and a `Transport` at home."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from msgspec.structs import replace

from harness import clocks
from harness.cluster.line import Line
from harness.cluster.messages import (
    Done,
    Ended,
    FromWorker,
    Input,
    Message,
    Order,
    Output,
    Push,
    Run,
    Up,
    pieces,
)
from harness.deadline import Deadline
from harness.errors import (
    BootError,
    CommandTimeoutError,
    GuestLostError,
    HarnessError,
    InfrastructureError,
    Phase,
)
from harness.model import Guest
from harness.protocols import Completed, Sink
from harness.transport.shell import CAP, Capture, checked

logger = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds that a worker may take longer than a limit that it keeps itself."""

ENDING = clocks.VAGRANT_DESTROY + GRACE
"""Seconds for a worker to end a guest, whatever its provider."""

Dial = Callable[[Order], AbstractContextManager[Line]]
"""Starts a task that holds a guest, and connects to it during the block."""


class RemoteProvider:
    """Starts one machine's guests; which of that machine's providers does it, the order says."""

    def __init__(self, machine: str, dial: Dial, order: Order) -> None:
        self._machine = machine
        self._dial = dial
        self._order = order

    def refusal(self, guest: Guest) -> str | None:
        """Return None: the machine was asked before."""
        return None

    def download(self, guest: Guest) -> str | None:
        """Return None: the machine was asked before."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator["RemoteTransport"]:
        """Start the guest there and yield it; end it when the block ends."""
        seconds = deadline.left()
        order = replace(self._order, guests=(guest,), seconds=seconds)
        with self._dial(order) as line:
            try:
                up = _up(line, deadline)
                transport = RemoteTransport(line, up, self._machine)
                yield transport
            finally:
                self._end(line, guest)

    def _end(self, line: Line, guest: Guest) -> None:
        if not line.close(ENDING):
            text = "%s: %s does not say that the guest has ended; it ends there all the same, "
            text += "at the latest when a worker starts there again"
            logger.warning(text, guest.name, self._machine)


def _up(line: Line, deadline: Deadline) -> Up:
    """Wait for the guest; the worker keeps the deadline, too, and knows more about what failed."""
    answer = line.answer(deadline)
    if answer is None and not deadline.cancelled:
        answer = line.answer(Deadline(GRACE))
    if answer is None:
        waited = "its boot took too long" if line.begun else "no CPUs became free for it"
        raise BootError(f"the guest did not come up on {line.machine}: {waited}")
    if not isinstance(answer, Up):
        raise line.wrong(answer)
    factor = answer.provenance.get("slow_factor", "1")
    if factor not in (f"{clocks.SLOW:g}", str(clocks.SLOW), "1", "1.0"):
        raise line.wrong(answer)
    return answer


class RemoteTransport:
    """A live guest on another machine. Commands run there one after the other."""

    def __init__(self, line: Line, up: Up, machine: str) -> None:
        self._line = line
        self._up = up
        self._machine = machine
        self._lock = threading.Lock()
        self._closed = False
        self.server_root = up.server_root

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the guest was started, and on which machine."""
        return {**self._up.provenance, "machine": self._machine}

    @property
    def folders(self) -> Sequence[str]:
        """Folders in the guest where the harness may put a program."""
        return self._up.folders

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        silence: float | None = None,
        into: Sink | None = None,
    ) -> Completed:
        """Run `argv` there; the limits are kept there, and also here if the worker does not."""
        checked(argv)
        asked = Run(tuple(argv), timeout, len(stdin), silence, into is not None)
        capture = Capture(CAP if into is not None else 0, into or bytes)
        with self._lock:
            done = self._answered(asked, stdin, argv[0], capture)
        return replace(done.completed, truncated=done.truncated or capture.truncated)

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        """Put `content` at `path` in the guest, whole or not at all."""
        asked = Push(path, timeout, len(content), executable)
        try:
            with self._lock:
                self._answered(asked, content, path, Capture(0, bytes))
        except InfrastructureError as exc:
            exc.phase = Phase.PUSH
            raise

    def close(self) -> None:
        """End the guest, from any thread; a `run` that waits raises `GuestLostError`."""
        self._closed = True
        self._line.hang_up()

    def _answered(self, asked: Run | Push, content: bytes, what: str, capture: Capture) -> Done:
        """Ask for one thing and wait until it is done."""
        if self._closed:
            raise GuestLostError(Phase.SCENARIO, "this connection was closed")
        self._said(asked, content)
        deadline = Deadline(asked.timeout + GRACE)
        while True:
            answer = self._next(deadline)
            if isinstance(answer, Output) and isinstance(asked, Run) and asked.streamed:
                capture.add(answer.piece)
            elif isinstance(answer, Done):
                return answer
            elif answer is None:
                self.close()
                message = f"{what} did not end within {asked.timeout:g} s, and {self._machine} "
                raise CommandTimeoutError(Phase.SCENARIO, f"{message}does not end it")
            else:
                raise self._line.wrong(answer)

    def _said(self, asked: Message, content: bytes) -> None:
        self._line.say(asked)
        for piece in pieces(content):
            self._line.say(Input(piece))

    def _next(self, deadline: Deadline) -> FromWorker | None:
        """Return the next answer; the errors of a connection that we closed are that."""
        try:
            answer = self._line.answer(deadline)
        except HarnessError:
            if self._closed:
                raise GuestLostError(Phase.SCENARIO, "this connection was closed") from None
            raise
        if isinstance(answer, Ended) and self._closed:
            raise GuestLostError(Phase.SCENARIO, "this connection was closed")
        return answer
