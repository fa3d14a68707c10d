"""What a worker says of its machine when it joins a cluster, and what makes two of them equal."""

import hashlib
import platform
import shutil

import psutil
from msgspec import Struct

from harness.agent import host_target
from harness.machine import capacity
from harness.machine.architecture import machine
from harness.machine.places import Places
from harness.machine.resources import PACKAGE, PACKAGED, guests_folder
from harness.machine.version import version
from harness.providers import TOOLS, virtualises

KEY = "reuseport"
"""The name of the description among what Dask knows of a worker."""


CPUS = "cpus"
"""The resource of which a guest takes as many as it has CPUs."""


class Identity(Struct, frozen=True):
    """A machine with this program. `memory` is bytes; `target` is the Zig target of its kernel.

    `digest` is that of the program's sources. `accelerated`: its hardware virtualises. `tools` are
    the programs for guests that are installed.
    """

    version: str
    digest: str
    host: str
    system: str
    machine: str
    target: str
    cores: int
    memory: int
    accelerated: bool
    tools: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The version and the sources, in words."""
        return f"{self.version} ({self.digest[:12]})"


def identity(places: Places) -> Identity:
    """Return what this machine is."""
    return Identity(
        version=version(),
        digest=digest(),
        host=platform.node(),
        system=platform.system(),
        machine=machine(),
        target=host_target(),
        cores=capacity.cores(),
        memory=psutil.virtual_memory().total,
        accelerated=virtualises(places),
        tools=tuple(name for name in TOOLS if shutil.which(name) is not None),
    )


def digest() -> str:
    """Return the sha256 of this program's own sources and of the agent's."""
    agent = guests_folder() / "agent"
    # In a wheel, the guest files are inside the package.
    ours = (path for path in PACKAGE.rglob("*.py") if PACKAGED not in path.parents)
    found = hashlib.sha256()
    for root, paths in ((PACKAGE, ours), (agent, agent.glob("*.[ch]"))):
        for path in sorted(paths):
            found.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()
