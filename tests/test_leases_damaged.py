"""Damaged, odd and forged leases: each is named, the others are served, and nothing waits."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from processes import child, dead_process
from test_leases import named, orphan, places, undo

from harness import leases
from harness.leases import Lease, Undo
from harness.machine.pid import Process
from harness.machine.places import Places

__all__ = ["places"]  # a fixture, found by its name


def fifo(file: Path) -> None:
    os.mkfifo(file)


def directory(file: Path) -> None:
    file.mkdir()


def huge(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(20 << 30)


def odd(**changes: object) -> Callable[[Path], None]:
    """Return what writes a lease of which some keys are odd."""

    def write(file: Path) -> None:
        lease = Lease(file.stem, "g", dead_process(), "/nowhere", "2026-01-01T00:00:00+00:00")
        plain = msgspec.to_builtins(lease)
        file.write_bytes(msgspec.json.encode({**plain, **changes}))

    return write


DAMAGES = (
    *(fifo, directory, huge),
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(b"{" * 100_000),
    lambda file: file.symlink_to("/dev/zero"),
    odd(id="another"),
    odd(undo=[{"argv": [], "seconds": 5}]),
    odd(undo=[{"argv": ["sleep", "9e9"], "seconds": 1e12}]),
    odd(process={"pid": "x", "started": 1}),
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_lease_is_named_and_the_others_are_served(
    places: Places, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    lease = orphan(places, "b", kept=True, undo=(undo(places.state, "ran"),))
    bad = places.state / "leases" / "a.json"
    damage(bad)
    assert leases.gc(places) == ()
    assert f"{bad} is not a valid lease" in caplog.text
    assert leases.stop(places) == (lease,)
    (left,) = leases.unended(places, ())
    assert str(bad) in left.what
    assert left.hint == "no QEMU of it runs here; delete the file"
    assert os.path.lexists(bad)


def test_the_guest_of_a_damaged_lease_is_found_by_its_name(places: Places) -> None:
    with leases.hold(places, "g") as tenancy, child(*named(tenancy.lease)) as guest:
        file = places.state / "leases" / f"{tenancy.lease.id}.json"
        kept = file.read_bytes()
        file.write_bytes(b"")
        (left,) = leases.unended(places)
        assert f"`kill {guest.pid}` ends it" in left.hint
        file.write_bytes(kept)
        guest.kill()


@pytest.mark.parametrize(
    "bad", [Undo(("a\0b",), 5), Undo(("true",), 5, folder="/nowhere"), Undo(("/dev/null",), 5)]
)
def test_a_command_that_cannot_be_started_is_told_and_keeps_the_lease(
    places: Places, caplog: pytest.LogCaptureFixture, bad: Undo
) -> None:
    lease = orphan(places, undo=(bad,))
    assert leases.gc(places) == ()
    assert "guest guest-a may still run" in caplog.text
    (left,) = leases.unended(places)
    assert left.what == f"guest guest-a (lease {lease.id}) could not be ended"


@pytest.mark.parametrize("pid", [-1, 0, 1, 2**31, 2**70])
def test_a_pid_that_no_process_of_ours_can_have_ends_nothing(places: Places, pid: int) -> None:
    orphan(places, owner=Process(pid, 1.0), process=Process(pid, 1.0))
    assert leases.gc(places) == ()
    assert not leases.leases(places)


def test_a_parked_guest_that_cannot_be_ended_is_told(places: Places) -> None:
    orphan(places, parked="key", undo=(Undo(("false",), 5),))
    assert leases.stop(places) == ()
    assert ["guest-a" in left.what for left in leases.unended(places, ())] == [True]
