"""Parked guests: no run owns them until one takes them; they are limited, and end like others."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from processes import dead_process, process_of

from harness import leases
from harness.leases import Lease, Login, Undo, garbage, parking
from harness.machine.pid import Process, is_alive
from harness.machine.places import Places

LOGIN = Login("192.0.2.1", 22, "root", "/key", "ssh-ed25519 AAAA")

TAKER = """
import sys
from pathlib import Path
from harness import leases
from harness.machine.places import Places
with leases.taken(Places(Path(sys.argv[1]), Path(sys.argv[1])), "key") as tenancy:
    print(None if tenancy is None else tenancy.lease.guest, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path)


def ended(places: Places) -> list[str]:
    """Return the guests that were ended, in order."""
    log = places.state / "ended"
    return log.read_text().split() if log.exists() else []


def taking_away(places: Places, name: str) -> Undo:
    return Undo(("sh", "-c", f"echo {name} >>ended"), 10, folder=str(places.state))


def park(places: Places, name: str, key: str = "key") -> Lease:
    with leases.hold(places, name) as tenancy:
        tenancy.undone_by(taking_away(places, name))
        tenancy.park(key, LOGIN)
    return tenancy.lease


def rewrite(places: Places, lease: Lease) -> None:
    file = places.state / "leases" / f"{lease.id}.json"
    file.write_bytes(msgspec.json.encode(lease))


def test_a_parked_guest_is_left_by_its_run_and_by_gc(places: Places) -> None:
    lease = park(places, "one")
    rewrite(places, replace(lease, owner=dead_process()))
    assert leases.gc(places) == ()
    assert leases.kept(places) == ()
    assert [one.guest for one in leases.parked(places)] == ["one"]
    assert Path(lease.folder).is_dir()
    assert lease.expires is not None
    assert timedelta(days=29) < lease.expires - datetime.now(UTC) <= parking.UNUSED


def test_who_takes_a_parked_guest_owns_it_and_ends_it(places: Places) -> None:
    parked = park(places, "one")
    rewrite(places, replace(parked, owner=dead_process()))
    with leases.taken(places, "other") as none:
        assert none is None
    with leases.taken(places, "key", run=Path("run")) as tenancy:
        assert tenancy is not None
        (lease,) = leases.leases(places)
        assert (lease, lease.id) == (tenancy.lease, parked.id)
        assert lease.owner == parking.ourselves()
        assert (lease.parked, lease.login) == (None, LOGIN)
        assert lease.run == str(Path("run").absolute())
        assert leases.gc(places) == ()
        assert ended(places) == []
    assert ended(places) == ["one"]
    assert leases.leases(places) == ()


def test_it_may_be_parked_again_and_is_used_then(places: Places) -> None:
    old = datetime.now(UTC) + timedelta(days=1)
    rewrite(places, replace(park(places, "one"), expires=old))
    with leases.taken(places, "key") as tenancy:
        assert tenancy is not None
        tenancy.park("key", LOGIN)
    (lease,) = leases.parked(places)
    assert lease.expires is not None
    assert lease.expires > old
    assert ended(places) == []


def test_of_two_at_once_only_one_takes_it(places: Places) -> None:
    park(places, "one")
    argv = [sys.executable, "-c", TAKER, str(places.state)]
    pipe = subprocess.PIPE
    runs = [subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    said = sorted(run.stdout.readline().strip() for run in runs if run.stdout is not None)
    assert said == ["None", "None", "None", "one"]
    for run in runs:
        run.communicate("")
    assert ended(places) == ["one"]


def test_gc_takes_away_what_a_run_took_that_was_killed(places: Places) -> None:
    park(places, "one")
    argv = [sys.executable, "-c", TAKER, str(places.state)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"one\n"
        assert leases.gc(places) == ()
        run.kill()
    assert [lease.guest for lease in leases.gc(places)] == ["one"]
    assert ended(places) == ["one"]


def test_one_that_nobody_took_for_long_goes_though_its_owner_lives(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(places, replace(park(places, "old"), expires=datetime.now(UTC)))
    park(places, "new", "another")
    with leases.taken(places, "key") as tenancy:
        assert tenancy is None
    assert [lease.guest for lease in leases.gc(places)] == ["old"]
    assert [lease.guest for lease in leases.parked(places)] == ["new"]
    assert not caplog.text


def test_one_stays_for_each_key_and_few_in_all(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "LIMIT", 2)
    for name, key in (("a", "1"), ("b", "2"), ("c", "2"), ("d", "3")):
        park(places, name, key)
    assert [lease.guest for lease in leases.parked(places)] == ["d", "c"]
    assert ended(places) == ["b", "a"]


def test_stop_and_discard_end_parked_guests(places: Places) -> None:
    for name in ("one", "two", "three"):
        park(places, name, name)
    assert [lease.guest for lease in leases.stop(places, ["two"])] == ["two"]
    one, three = reversed(leases.parked(places))
    with leases.taken(places, "three"):
        assert leases.discard(places, [one, three]) == (one,)
        assert ended(places) == ["two", "one"]
    assert leases.stop(places) == ()


def test_one_that_is_parked_while_gc_looks_stays(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked = park(places, "one")
    before = replace(parked, parked=None, owner=dead_process())
    rewrite(places, before)

    def parks(owner: Process) -> bool:
        rewrite(places, replace(before, parked="key"))
        return is_alive(owner)

    monkeypatch.setattr(garbage, "is_alive", parks)
    assert leases.gc(places) == ()
    assert ended(places) == []


def test_the_one_who_discards_is_seen_as_the_owner(places: Places) -> None:
    """So no run can take a guest whose undo failed."""
    lease = park(places, "one")
    rewrite(places, replace(lease, undo=(Undo(("false",), 10),)))
    assert leases.stop(places) == ()
    (left,) = leases.leases(places)
    assert left.parked is None
    assert process_of(left.owner.pid) == left.owner
