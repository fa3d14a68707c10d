"""Saves, changes and restores a guest beside a libvirtd; prints the result as JSON.

It uses Vagrant's own commands, as for its other providers, which this machine lacks; or virsh.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness import guests
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.providers.vagrant.domain import Domain
from harness.providers.vagrant.machine import VagrantMachine
from harness.providers.vagrant.provider import VagrantProvider
from harness.providers.workshop import Workshop

SAID: dict[str, object] = {}


@contextmanager
def timed(step: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    SAID[f"seconds {step}"] = round(time.monotonic() - began, 1)


KINDS: Mapping[str, type[VagrantMachine]] = {"vagrant": VagrantMachine, "virsh": Domain}


def main() -> None:
    guest = guests.load([guests_folder()])["linux-box"]
    console, by = sys.argv[1:]
    provider = VagrantProvider(Workshop(Places.of_user(), lambda _: Path(console), cold=True))
    limit = Deadline(250)
    began = time.monotonic()
    with provider.started(guest, limit) as machine:
        SAID["seconds up and login"] = round(time.monotonic() - began, 1)
        there_and_back(machine, KINDS[by], limit)
        began = time.monotonic()
    SAID["seconds end"] = round(time.monotonic() - began, 1)
    sys.stdout.write(json.dumps(SAID))


def there_and_back(machine: VagrantMachine, kind: type[VagrantMachine], limit: Deadline) -> None:
    assert isinstance(machine, kind)
    machine.transport.run(["sh", "-c", "echo before >/tmp/state"], timeout=30)
    with timed("save"):
        kind.save(machine, "one", limit)
    SAID["snapshots"] = machine.snapshots(limit)
    machine.transport.run(["sh", "-c", "echo after >/tmp/state"], timeout=30)
    host_key = machine.transport.host_key
    with timed("restore and login"):
        kind.restore(machine, "one", limit)
    SAID["restored"] = machine.transport.run(["cat", "/tmp/state"], timeout=30).stdout.decode()
    SAID["same host key"] = machine.transport.host_key == host_key
    machine.delete("one", limit)
    SAID["snapshots at the end"] = machine.snapshots(limit)
    SAID["state"] = machine.state(limit)
    with timed("power off"):
        kind.power_off(machine, limit)
    SAID["state at the end"] = machine.state(limit)


if __name__ == "__main__":
    main()
