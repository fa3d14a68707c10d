"""What is needed to measure one guest, or one copy of it."""

from collections.abc import Mapping

from msgspec import Struct, field

from harness.agent import Builder
from harness.deadline import Cancellation
from harness.machine.capacity import Turns
from harness.model import Depth, Guest
from harness.model.server import Server
from harness.protocols import Progress, Provider
from harness.run.copies import Kin
from harness.store import GuestRecord


class GuestJob(Struct, frozen=True):
    """What one thread needs to measure one guest; `cpus`: how many of its machine it takes.

    `servers`: those that the cells are about, by name. `machine` is the name of the machine that
    starts it, empty without a cluster. `kin`: the copies of the guest, if it is split into shards.
    """

    guest: Guest
    depth: Depth
    provider: Provider
    builder: Builder
    record: GuestRecord
    progress: Progress
    cancellation: Cancellation
    turns: Turns = field(default_factory=lambda: Turns(1))
    cpus: int = 1
    servers: Mapping[str, Server] = field(default_factory=dict)
    machine: str = ""
    kin: Kin | None = None
