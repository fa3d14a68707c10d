"""The machines of a run: this one, or those of the cluster that the user names."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.run.machines import Machines, own_machine
from harness.run.names import known_guests
from harness.run.plan import Request

if TYPE_CHECKING:
    from harness.cluster.connect import Cluster


@contextmanager
def machines_for(request: Request, address: str | None, *, without_tls: bool) -> Iterator[Machines]:
    """Connect to a cluster for the block, if one is named; raise `UsageError`.

    Without a cluster, nothing of Dask is imported.
    """
    if address is None:
        yield own_machine
        return
    if request.keep:
        hint = "leave --keep out; on a machine itself, `shell GUEST --keep` keeps one"
        message = "a guest of a cluster is not kept: `shell` and `stop` here do not reach it"
        raise UsageError(message, hint=hint)
    guests = tuple(known_guests(request.folders).values())
    with cluster_at(address, without_tls=without_tls) as cluster:
        yield partial(cluster.machines, guests=guests)


@contextmanager
def cluster_at(address: str, *, without_tls: bool) -> Iterator["Cluster"]:
    """Connect to a cluster for the block."""
    from harness.cluster.connect import connected

    with connected(address, without_tls=without_tls) as cluster:
        yield cluster
