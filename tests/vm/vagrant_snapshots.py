"""Run where libvirtd is: a guest is saved, changed, restored; says as JSON what became of it."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import guests
from harness.deadline import Deadline
from harness.places import Places
from harness.providers.vagrant.provider import VagrantProvider
from harness.providers.workshop import Workshop
from harness.resources import guests_folder

SAID: dict[str, object] = {}


@contextmanager
def timed(step: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    SAID[f"seconds {step}"] = round(time.monotonic() - began, 1)


def main() -> None:
    guest = guests.load([guests_folder()])["linux-box"]
    provider = VagrantProvider(Workshop(Places.of_user(), lambda _: Path(sys.argv[1])))
    limit = Deadline(250)
    began = time.monotonic()
    with provider.started(guest, limit) as machine:
        SAID["seconds up and login"] = round(time.monotonic() - began, 1)
        machine.transport.run(["sh", "-c", "echo before >/tmp/state"], timeout=30)
        with timed("save"):
            machine.save("one", limit)
        SAID["snapshots"] = machine.snapshots(limit)
        machine.transport.run(["sh", "-c", "echo after >/tmp/state"], timeout=30)
        host_key = machine.transport.host_key
        with timed("restore and login"):
            machine.restore("one", limit)
        SAID["restored"] = machine.transport.run(["cat", "/tmp/state"], timeout=30).stdout.decode()
        SAID["same host key"] = machine.transport.host_key == host_key
        machine.delete("one", limit)
        SAID["snapshots at the end"] = machine.snapshots(limit)
        SAID["state"] = machine.state(limit)
        with timed("power off"):
            machine.power_off(limit)
        SAID["state at the end"] = machine.state(limit)
        began = time.monotonic()
    SAID["seconds end"] = round(time.monotonic() - began, 1)
    sys.stdout.write(json.dumps(SAID))


if __name__ == "__main__":
    main()
