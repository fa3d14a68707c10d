"""The tasks of a worker: to say which guests it can start, and to hold one for home."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.cluster.channel import Channel, ChannelError
from harness.cluster.desk import Desk, Job, reporting
from harness.cluster.messages import (
    Begun,
    ConsoleText,
    Done,
    Ended,
    Failed,
    Offered,
    Order,
    Output,
    Room,
    Run,
    Up,
    failed,
    pieces,
    text,
)
from harness.deadline import Deadline
from harness.errors import HarnessError, InfrastructureError, NotRunError, Phase
from harness.machine import capacity
from harness.machine.places import Places
from harness.model import Guest
from harness.protocols import NO_ROOT, Transport
from harness.providers import Choices
from harness.providers.workshop import Workshop

CONSOLE_SECONDS = 1.0
"""Seconds between two looks at a console that grows."""

CONSOLE_MOST = 8 << 20
"""Bytes of a console that are sent home; a provider trims a flood, but only now and then."""


class Open:
    """The desks of this worker, so that all guests end when it does."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._desks: list[Desk] = []

    @contextmanager
    def listed(self, desk: Desk) -> Iterator[None]:
        """List a desk during the block."""
        with self._lock:
            self._desks.append(desk)
        try:
            yield
        finally:
            with self._lock:
                self._desks.remove(desk)
                self._lock.notify_all()

    def end(self, seconds: float) -> bool:
        """End all guests; return whether they have ended within this time."""
        with self._lock:
            for desk in self._desks:
                desk.cancellation.say()
            return self._lock.wait_for(lambda: not self._desks, seconds)


OPEN = Open()
"""Dask gives a task and the worker's hooks nothing in common but the module."""


def survey(order: bytes) -> None:
    """Say of each guest how this worker would start it, or why not."""
    with _at_desk(order) as (desk, asked):
        choices = Choices(_workshop(asked, Path("console.log")), asked.only)
        for guest in asked.guests:
            if desk.cancellation.said:
                return
            desk.say(_offered(guest, choices))
        desk.say(Room(capacity.memory()))


def _offered(guest: Guest, choices: Choices) -> Offered:
    try:
        offer = choices.best(guest)
    except NotRunError as exc:
        hint = None if exc.hint is None else text(exc.hint)
        return Offered(guest.name, why=text(exc), hint=hint)
    load = None if offer.download is None else text(offer.download)
    return Offered(guest.name, offer.name, load)


def hold(order: bytes) -> None:
    """Start a guest and serve it until home is done with it, or is gone; then end it."""
    from distributed import secede

    secede()  # the CPUs stay taken, but small tasks need not wait
    with _at_desk(order) as (desk, asked):
        desk.say(Begun())
        try:
            _held(desk, asked)
        except HarnessError as exc:
            desk.say(failed(exc))
        except OSError as exc:
            desk.say(failed(InfrastructureError(Phase.BOOT, f"on that machine: {exc}")))


@contextmanager
def _at_desk(order: bytes) -> Iterator[tuple[Desk, Order]]:
    """Open a desk for a task; say at the end that it has ended, and why if it crashed."""
    from distributed import get_client

    asked = msgspec.json.decode(order, type=Order)
    channel = Channel(get_client(), asked.channel, home=False)
    desk, problem = Desk(channel), "it ended early"
    with OPEN.listed(desk), desk.open():
        try:
            yield desk, asked
            problem = ""
        except Exception as exc:
            problem = f"it crashed: {exc!r}"
            raise
        finally:
            desk.say(Ended(text(problem)))
            _left(channel, desk)


def _left(channel: Channel, desk: Desk) -> None:
    try:
        channel.close(alone=desk.alone)
    except ChannelError:  # the scheduler is gone, and the queues with it
        return


def _workshop(asked: Order, console: Path) -> Workshop:
    return Workshop(Places.of_user(), lambda _: console, cold=asked.cold, packages=asked.packages)


def _held(desk: Desk, asked: Order) -> None:
    (guest,) = asked.guests
    scratch = Places.of_user().folder("scratch")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch))
        console = Path(folder, "console.log")
        stack.enter_context(reporting(desk))
        stack.enter_context(_sending(console, desk))
        offer = Choices(_workshop(asked, console), asked.only).best(guest)
        deadline = Deadline(asked.seconds, desk.cancellation)
        transport = stack.enter_context(offer.provider.boot(guest, deadline))
        stack.enter_context(desk.cancellation.hooked(transport.close))
        desk.say(_up(transport))
        for job in desk.jobs():
            _do(job, transport, desk)


def _up(transport: Transport) -> Up:
    root = transport.server_root
    known = root if root is NO_ROOT else replace(root, missing=dict(root.missing))
    return Up(dict(transport.provenance), tuple(transport.folders), known)


def _do(job: Job, transport: Transport, desk: Desk) -> None:
    try:
        desk.say(_ran(job, transport, desk))
    except HarnessError as exc:
        desk.say(failed(exc))


def _ran(job: Job, transport: Transport, desk: Desk) -> Done | Failed:
    asked, content = job.asked, bytes(job.content)
    if not isinstance(asked, Run):
        transport.push(content, asked.path, executable=asked.executable, timeout=asked.timeout)
        return Done()

    def passed_on(output: bytes) -> None:
        for piece in pieces(output):
            desk.say(Output(piece))

    done = transport.run(
        asked.argv,
        stdin=content,
        timeout=asked.timeout,
        silence=asked.silence,
        into=passed_on if asked.streamed else None,
    )
    return Done(done.status, done.stdout, done.stderr, done.truncated)


@contextmanager
def _sending(console: Path, desk: Desk) -> Iterator[None]:
    """Send home what is added to the console log during the block."""
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(console, desk, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(console: Path, desk: Desk, over: threading.Event) -> None:
    sent, last = 0, False
    while not last:
        last = over.wait(CONSOLE_SECONDS)
        try:
            with console.open("rb") as file:
                file.seek(sent)
                found = file.read(CONSOLE_MOST - sent)
        except FileNotFoundError:
            continue
        for piece in pieces(found):
            desk.say(ConsoleText(piece))
        sent += len(found)
