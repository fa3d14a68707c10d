"""The workers of a cluster that are machines of ours, and one connection to their scheduler."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from harness.cluster.channel import Channel, ChannelError
from harness.cluster.identity import CPUS, KEY, Identity
from harness.cluster.line import SILENCE, Line, lost
from harness.cluster.messages import Order
from harness.cluster.names import machine_name, unique
from harness.errors import InfrastructureError, Phase

if TYPE_CHECKING:
    from distributed import Client, Future

WATCH_SECONDS = 1.0
"""Seconds between two looks at the cluster."""

ANSWER_SECONDS = 10.0
"""The limit for one answer of a scheduler."""


class Call(Struct, frozen=True):
    """A task to start: its function, what it is about, and how many CPUs it takes."""

    work: Callable[[bytes], None]
    subject: str
    cpus: int = 0


class Worker(Struct, frozen=True):
    """A worker of the cluster, and what it says of itself; None if it has no preload of ours."""

    name: str
    address: str
    threads: int
    identity: Identity | None


class Crew:
    """Knows which workers live, and connects home with tasks on them."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._lock = threading.Lock()
        self._lines: dict[Line, str] = {}
        self._seen: dict[str, tuple[object, float]] = {}

    def workers(self) -> tuple[Worker, ...]:
        """Ask the scheduler for its workers; raise `InfrastructureError`."""
        found = [_worker(address, said) for address, said in self._asked().items()]
        found.sort(key=lambda one: (one.name, one.address))
        names = unique([one.name for one in found])
        return tuple(replace(one, name=name) for one, name in zip(found, names, strict=True))

    def _asked(self) -> Mapping[str, Mapping[str, object]]:
        scheduler = self._client.scheduler
        try:
            if scheduler is None or self._client.status != "running":
                raise OSError("the connection is closed")
            said = self._client.sync(scheduler.identity, callback_timeout=ANSWER_SECONDS)
            return {str(address): dict(known) for address, known in said["workers"].items()}
        except Exception as exc:  # Dask raises whatever its scheduler raises
            message = f"the scheduler does not answer: {exc or type(exc).__name__}"
            raise InfrastructureError(Phase.CONNECT, message) from exc

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the workers during the block: lines to one that is gone are lost."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), name="crew", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    def _watch(self, over: threading.Event) -> None:
        answered = time.monotonic()
        alive: set[str] | None
        while not over.wait(WATCH_SECONDS):
            try:
                alive, why = self._alive(self._asked()), "the scheduler has lost it"
                answered = time.monotonic()
            except InfrastructureError as exc:
                gone = self._client.status != "running" or time.monotonic() - answered > SILENCE
                alive, why = (set(), str(exc)) if gone else (None, "")
            with self._lock:
                lines = dict(self._lines)
            for line, address in lines.items():
                if alive is not None and address not in alive:
                    line.lose(why)
                line.watch()

    def _alive(self, said: Mapping[str, Mapping[str, object]]) -> set[str]:
        """Return the workers that the scheduler lists and has heard from lately."""
        now = time.monotonic()
        for address, known in said.items():
            if self._seen.get(address, ("", 0.0))[0] != known.get("last_seen"):
                self._seen[address] = (known.get("last_seen"), now)
        return {one for one in said if now - self._seen[one][1] <= SILENCE}

    @contextmanager
    def dial(
        self, worker: Worker, call: Call, order: Order, console: Callable[[bytes], object] = bytes
    ) -> Iterator[Line]:
        """Start a task on a worker, and connect to it during the block."""
        token = secrets.token_hex(8)
        subject = f"{call.subject}: {worker.name}"
        channel = _channel(self._client, f"reuseport-{token}", worker)
        line = Line(channel, worker.name, subject, console)
        with self._lock:
            self._lines[line] = worker.address
        future: Future[None] | None = None
        try:
            future = self._submitted(worker, call, replace(order, channel=channel.name), token)
            yield line
        finally:
            with self._lock:
                del self._lines[line]
            line.hang_up()  # else a thread of the worker would wait for ever
            line.leave()
            if future is not None and self._client.status == "running":
                future.release()

    def _submitted(self, worker: Worker, call: Call, order: Order, token: str) -> "Future[None]":
        try:
            return self._client.submit(
                call.work,
                msgspec.json.encode(order),
                key=f"{call.subject}-{token}",
                workers=[worker.address],
                allow_other_workers=False,
                resources={CPUS: min(call.cpus, worker.threads)} if call.cpus else {},
                pure=False,
                retries=0,
            )
        except Exception as exc:  # the client may have closed meanwhile
            raise lost(worker.name, f"the scheduler takes no task: {exc!r}") from exc


def _channel(client: "Client", name: str, worker: Worker) -> Channel:
    try:
        return Channel(client, name, home=True)
    except ChannelError as exc:
        raise lost(worker.name, str(exc)) from exc


def _worker(address: str, said: Mapping[str, object]) -> Worker:
    """Read what the scheduler says of a worker; a description that is not ours counts as none."""
    threads = said.get("nthreads")
    try:
        known = msgspec.convert(said.get(KEY), Identity)
    except msgspec.ValidationError:
        known = None
    name = machine_name(said.get("name"), address, known.host if known is not None else "")
    return Worker(name, address, threads if isinstance(threads, int) else 1, known)
