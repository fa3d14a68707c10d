"""Makes a Dask worker a machine of this program: `dask worker … --preload harness.cluster.preload`.

It ends what an earlier worker left behind, declares the CPUs that a guest takes, and describes the
machine. At the end it ends the guests.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from harness import leases
from harness.cluster import identity
from harness.cluster.task import OPEN
from harness.machine.places import Places

if TYPE_CHECKING:
    from distributed import Worker

logger = logging.getLogger(__name__)

ENDING_SECONDS = 20.0
"""How long a worker that ends waits for its guests to end. Leases end the others."""


async def dask_setup(worker: "Worker") -> None:
    """Prepare a worker before it joins its scheduler."""
    places = Places.of_user()
    ended = await asyncio.to_thread(leases.gc, places)
    if ended:
        logger.warning("ended %d guests that an earlier worker left", len(ended))
    known = msgspec.to_builtins(await asyncio.to_thread(identity.identity, places))
    # What Dask sends when a worker joins; both are plain data.
    worker.state.total_resources[identity.CPUS] = worker.state.nthreads
    worker.state.available_resources[identity.CPUS] = worker.state.nthreads
    worker.startup_information[identity.KEY] = lambda _: known


async def dask_teardown(_: "Worker") -> None:
    """End the guests of a worker that ends."""
    if not await asyncio.to_thread(OPEN.end, ENDING_SECONDS):
        logger.warning("some guests did not end in time; the next worker here ends them")
