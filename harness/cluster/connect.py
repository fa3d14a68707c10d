"""Connects a run to a cluster: only where that is safe, and only to machines with this program."""

import ipaddress
import logging
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.cluster import identity
from harness.cluster.crew import Crew, Worker
from harness.cluster.member import Member
from harness.cluster.plain import only_plain_pickles
from harness.errors import InfrastructureError, MachineLostError, Phase, UsageError
from harness.machine.version import version
from harness.model import Guest
from harness.providers.workshop import Workshop

if TYPE_CHECKING:
    from distributed import Client, Security

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 15.0
"""How long a scheduler may take to accept a connection."""

CLOSE_SECONDS = 5.0
"""How long the end of a run waits for a scheduler to say goodbye."""

PORT = 8786
"""Dask's own; an address without a port means this one."""

INSTALL = "pip install 'reuseport-matrix[cluster]'"

FIELDS = (
    "set distributed.comm.tls.ca-file, client.cert and client.key in ~/.config/dask/*.yaml "
    "(docs/cluster.md)"
)

LOUD = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")
"""Loggers to which Dask gives a handler when it is imported; it writes to standard error."""


def check_address(named: str, *, without_tls: bool) -> str:
    """Return the address with its scheme and port; raise `UsageError` if it is not to be used.

    `without_tls`: the user says that a connection without TLS may leave this machine.
    """
    address = named if "://" in named else f"tcp://{named}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or PORT
    except ValueError as exc:
        raise UsageError(f"{named} is no address of a scheduler: {exc}") from exc
    if parts.scheme not in ("tcp", "tls") or not host or parts.path.strip("/"):
        hint = "a scheduler's address is tls://HOST:PORT or tcp://HOST:PORT"
        raise UsageError(f"{named} is no address of a scheduler", hint=hint)
    if parts.scheme == "tcp" and not without_tls and not _is_loopback(host):
        raise UsageError(
            f"{address} is not this machine, and tcp:// has no TLS: whoever can reach it, or the "
            "wire, can run programs on every machine of the cluster",
            hint="use tls:// (docs/cluster.md, five lines), or say --cluster-without-tls where the "
            "network is yours alone",
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _is_loopback(host: str) -> bool:
    """Return whether every address of a host is a loopback one; False if it has none."""
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(one).is_loopback for one in found)


@contextmanager
def connected(named: str, *, without_tls: bool = False) -> Iterator["Cluster"]:
    """Connect to a cluster for the block; raise `UsageError` if it has no machine of ours.

    Raise `InfrastructureError` if its scheduler does not answer.
    """
    address = check_address(named, without_tls=without_tls)
    if find_spec("distributed") is None:
        raise UsageError("--cluster needs Dask, which is not installed", hint=INSTALL)
    with only_plain_pickles(), _client(address) as client:
        crew = Crew(client)
        workers = equals(crew.workers(), address)
        with crew.watched():
            yield Cluster(crew, workers)


@contextmanager
def _client(address: str) -> Iterator["Client"]:
    import distributed

    class QuietClient(distributed.Client):
        """A client that lets no worker write to our terminal."""

        def subscribe_topic(self, topic: str, handler: object) -> None:
            """Do nothing: a client listens to `print` and `warn` of its own accord."""

    _hush()
    try:
        client = QuietClient(
            address,
            timeout=CONNECT_SECONDS,
            security=_security(address),
            set_as_default=False,
            serializers=["msgpack"],
            deserializers=["msgpack"],
            name="reuseport-matrix",
        )
    except (OSError, ImportError) as exc:
        message = f"no scheduler of Dask answers at {address}: {exc}"
        raise InfrastructureError(
            Phase.CONNECT, message, hint="is it up? `dask scheduler`"
        ) from exc
    try:
        yield client
    finally:
        try:
            client.close(timeout=CLOSE_SECONDS)
        except Exception as exc:
            logger.debug("the connection to %s was not closed: %s", address, exc, exc_info=True)


def _security(address: str) -> "Security":
    """Return Dask's own settings; raise `UsageError` if there is no TLS with them."""
    import distributed

    try:
        found = distributed.Security()
        context = found.get_connection_args("client")["ssl_context"]
    except (OSError, TypeError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise UsageError(f"Dask's TLS settings cannot be used: {exc}", hint=FIELDS) from exc
    if context is None and address.startswith("tls://"):
        raise UsageError("Dask has no TLS settings here", hint=FIELDS)
    return found


def _hush() -> None:
    """Keep Dask's own messages from the terminal: we report what matters, in our words."""
    for name in (*LOUD, "asyncio"):
        found = logging.getLogger(name)
        found.handlers[:] = [logging.NullHandler()]
        found.propagate = False


def equals(workers: Sequence[Worker], address: str) -> tuple[Worker, ...]:
    """Return the workers with just this program; say which are left out, and why.

    Raise `UsageError` if none is left.
    """
    ours, here = identity.digest(), version()
    found, others = list[Worker](), list[str]()
    for one in workers:
        if one.identity is None:
            others.append(
                f"{one.name} ({one.address}) was started without our preload, or that failed"
            )
        elif (one.identity.version, one.identity.digest) != (here, ours):
            own = f"{here} ({ours[:12]})"
            others.append(f"{one.name} has version {one.identity.program}, and this is {own}")
        else:
            found.append(one)
    if not found:
        why = "; ".join(others) or "no worker has joined it"
        hint = f"dask worker {address} --preload harness.cluster.preload, with the same version"
        raise UsageError(f"the cluster at {address} has no machine for this run: {why}", hint=hint)
    for text in others:
        logger.warning("left out of the cluster: %s", text)
    return tuple(found)


class Cluster:
    """The machines of a cluster, for one run."""

    def __init__(self, crew: Crew, workers: Sequence[Worker]) -> None:
        self._crew = crew
        self.workers = tuple(workers)

    def machines(
        self, workshop: Workshop, only: str | None, guests: Sequence[Guest] = ()
    ) -> tuple[Member, ...]:
        """Return the machines, each asked how it would start these guests.

        One that does not answer is left out; raise `InfrastructureError` if none does.
        """
        members = [Member(self._crew, one, workshop, only) for one in self.workers]
        with ThreadPoolExecutor(len(members)) as pool:
            asked = [(one, pool.submit(one.ask, guests)) for one in members]
        found = []
        for member, future in asked:
            try:
                future.result()
                found.append(member)
            except MachineLostError as exc:
                logger.warning("left out of the cluster: %s", exc)
        if not found:
            hint = "the scheduler, too, must have this program: its log says what it misses"
            message = "no machine of the cluster says what it can start"
            raise InfrastructureError(Phase.CONNECT, message, hint=hint)
        return tuple(found)
