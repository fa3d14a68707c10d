"""Leases: which guests are ended, and above all which are not."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from processes import SLEEP, child, dead_process, process_of

from harness import leases
from harness.leases import Lease, Login, Undo, ending
from harness.machine.pid import is_alive
from harness.machine.places import Places

OWNER = """
import subprocess, sys, time
from contextlib import ExitStack
from pathlib import Path
from harness import leases
from harness.machine.places import Places
with leases.hold(Places(Path(sys.argv[1]), Path(sys.argv[1])), "g") as tenancy:
    guest = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", "-name", tenancy.lease.tag],
        stdout=subprocess.DEVNULL,
    )
    if "recorded" in sys.argv:
        tenancy.runs(guest.pid)
    print(guest.pid, flush=True)
    time.sleep(60)
"""

LOGIN = Login("127.0.0.1", 2222, "root", "/key", "ssh-ed25519 AAAA")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with child() as process:
        yield process
        process.kill()


def write(places: Places, lease: Lease) -> None:
    folder = places.state / "leases"
    folder.mkdir(exist_ok=True)
    (folder / f"{lease.id}.json").write_bytes(msgspec.json.encode(lease))
    Path(lease.folder).mkdir(parents=True)


def named(lease: Lease) -> tuple[str, str]:
    """Return the words of a command line by which a lease knows its guest."""
    return leases.NAME_OPTION, lease.tag


def orphan(places: Places, name: str = "a", **changes: object) -> Lease:
    folder = str(places.state / "guests" / name)
    lease = Lease(name, f"guest-{name}", dead_process(), folder, "2026-01-01T00:00:00+00:00")
    lease = replace(lease, **changes)
    write(places, lease)
    return lease


def test_a_lease_is_there_before_the_guest_and_closed_to_others(places: Places) -> None:
    with leases.hold(places, "g") as tenancy:
        (file,) = (places.state / "leases").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(tenancy.folder.stat().st_mode) == 0o700
        assert tenancy.lease.owner == process_of(os.getpid())
        assert len(tenancy.lease.id) == 32
    assert not list((places.state / "leases").iterdir())
    assert not tenancy.folder.exists()


def test_whatever_ends_the_block_ends_the_guest(places: Places) -> None:
    for error in (RuntimeError, KeyboardInterrupt):
        stack = ExitStack()
        tenancy = stack.enter_context(leases.hold(places, "g"))
        guest = child(*named(tenancy.lease))
        tenancy.runs(guest.pid)
        stack.__exit__(error, error(), None)
        assert guest.wait() == -signal.SIGTERM
        assert not leases.leases(places)


def test_a_guest_that_ignores_the_first_signal_is_killed(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "TERM_SECONDS", 0.3)
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    with leases.hold(places, "g") as tenancy:
        argv = [sys.executable, "-c", f"{stubborn}; time.sleep(60)", *named(tenancy.lease)]
        guest = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert guest.stdout is not None
        guest.stdout.readline()
        tenancy.runs(guest.pid)
    assert guest.wait() == -signal.SIGKILL
    guest.stdout.close()


@pytest.mark.parametrize("knowledge", ["recorded", "by-its-command-line"])
def test_gc_ends_what_a_killed_owner_left(places: Places, knowledge: str) -> None:
    argv = [sys.executable, "-c", OWNER, str(places.state), knowledge]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        guest = process_of(int(owner.stdout.readline()))
        assert leases.gc(places) == ()
        assert is_alive(guest)
        owner.kill()
    (ended,) = leases.gc(places)
    assert ended.guest == "g"
    assert not is_alive(guest)
    assert not leases.leases(places)
    assert not Path(ended.folder).exists()


def test_a_process_that_got_the_pid_later_is_not_touched(
    places: Places, bystander: subprocess.Popen[bytes]
) -> None:
    other = process_of(bystander.pid)
    orphan(places, process=replace(other, started=other.started - 1))
    assert leases.gc(places) == ()
    assert bystander.poll() is None
    assert not leases.leases(places)


def test_an_owner_whose_pid_is_used_again_is_gone(
    places: Places, bystander: subprocess.Popen[bytes]
) -> None:
    other = process_of(bystander.pid)
    with child("-name", "reuseport-matrix-a") as guest:
        before = replace(other, started=other.started - 1)
        lease = orphan(places, owner=before, process=process_of(guest.pid))
        assert leases.gc(places) == (lease,)
        assert guest.wait() == -signal.SIGTERM
    assert bystander.poll() is None


def test_a_forged_lease_ends_no_process_of_others(
    places: Places, bystander: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    for name, words in (("a", {}), ("b", {"kept": True}), ("c", {"parked": "key"})):
        orphan(places, name, process=process_of(bystander.pid), **words)
    leases.gc(places)
    leases.stop(places)
    assert bystander.poll() is None
    assert not leases.leases(places)
    assert f"names process {bystander.pid}, which does not bear its name" in caplog.text


def test_a_command_bears_the_name_of_its_lease_in_its_environment(places: Places) -> None:
    for tag, status in (("reuseport-matrix-b", None), ("reuseport-matrix-a", -signal.SIGTERM)):
        environment = {**os.environ, leases.NAME_VARIABLE: tag}
        with subprocess.Popen(SLEEP, env=environment) as command:
            orphan(places, process=process_of(command.pid))
            leases.gc(places)
            assert command.poll() is status or command.wait() == status
            command.kill()


def test_a_lease_says_the_run_and_until_when(places: Places) -> None:
    with leases.hold(places, "g", run=Path("results")) as tenancy:
        (read,) = leases.leases(places)
        assert read == tenancy.lease
        assert read.run == str(Path("results").absolute())
        assert read.expires == datetime.fromisoformat(read.created) + leases.LIFE
        assert leases.gc(places) == ()
        assert leases.leases(places) == (read,)


def test_a_guest_that_outlives_its_time_is_ended_though_its_owner_lives(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    with leases.hold(places, "g", life=timedelta(0)) as tenancy:
        guest = child(*named(tenancy.lease))
        tenancy.runs(guest.pid)
        assert leases.gc(places) == (tenancy.lease,)
        assert guest.wait() == -signal.SIGTERM
        assert not leases.leases(places)
        assert f"although process {os.getpid()} still owns it" in caplog.text


def test_a_kept_guest_does_not_expire_unless_its_lease_says_so(places: Places) -> None:
    with leases.hold(places, "g", life=timedelta(0)) as tenancy:
        guest = child(*named(tenancy.lease))
        tenancy.runs(guest.pid)
        tenancy.keep(LOGIN)
    assert leases.gc(places) == ()
    assert [lease.expires for lease in leases.kept(places)] == [None]
    asked = replace(tenancy.lease, expires=datetime.now(UTC))
    (places.state / "leases" / f"{asked.id}.json").write_bytes(msgspec.json.encode(asked))
    assert leases.gc(places) == (asked,)
    assert guest.wait() == -signal.SIGTERM


def test_a_lease_of_an_older_version_is_read(places: Places) -> None:
    lease = orphan(places, process=dead_process())
    file = places.state / "leases" / "a.json"
    old = msgspec.json.decode(file.read_bytes())
    del old["run"], old["expires"], old["parked"]
    file.write_bytes(msgspec.json.encode(old))
    assert leases.leases(places) == (lease,)
    leases.gc(places)
    assert not leases.leases(places)


def test_a_lease_that_was_half_written_goes_with_its_writer(places: Places) -> None:
    (places.state / "leases").mkdir()
    us, other = process_of(os.getpid()), dead_process()
    reused = replace(us, started=us.started + 1)
    scratches = [
        places.state / "leases" / f"{'a' * 32}.{one.pid}-{one.started}.new"
        for one in (us, other, reused)
    ]
    for scratch in scratches:
        scratch.write_text('{"id":')
    leases.gc(places)
    assert [scratch.exists() for scratch in scratches] == [True, False, False]


def test_an_interruption_while_a_guest_is_ended_comes_after_its_end(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmtree = shutil.rmtree

    def interrupted(folder: Path, *, ignore_errors: bool) -> None:
        monkeypatch.setattr(shutil, "rmtree", rmtree)
        raise KeyboardInterrupt

    with ExitStack() as stack:
        stack.enter_context(pytest.raises(KeyboardInterrupt))
        tenancy = stack.enter_context(leases.hold(places, "g"))
        monkeypatch.setattr(shutil, "rmtree", interrupted)
    assert not [*(places.state / "leases").iterdir()]
    assert not tenancy.folder.exists()


def test_a_lease_that_cannot_be_written_leaves_nothing(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (OSError, KeyboardInterrupt):

        def full(_: int, error: type[BaseException] = error) -> None:
            raise error

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(error), leases.hold(places, "g"):
            pytest.fail("there is no lease")
        assert not [*(places.state / "leases").iterdir()]


def test_a_process_that_only_mentions_a_lease_is_not_touched(places: Places) -> None:
    lease = orphan(places)
    mentions = child("grep", lease.tag, f"-name={lease.tag}")
    assert leases.gc(places) == ()
    assert mentions.poll() is None
    mentions.kill()
    mentions.wait()


def test_a_kept_guest_outlives_gc_until_it_is_stopped(places: Places) -> None:
    guests = {}
    for name in ("one", "two"):
        with leases.hold(places, name) as tenancy:
            guests[name] = child(*named(tenancy.lease))
            tenancy.runs(guests[name].pid)
            tenancy.keep(LOGIN)
    assert leases.gc(places) == ()
    assert {lease.guest: lease.login for lease in leases.kept(places)} == dict.fromkeys(
        guests, LOGIN
    )
    assert [lease.guest for lease in leases.stop(places, ["two"])] == ["two"]
    assert guests["two"].wait() == -signal.SIGTERM
    assert guests["one"].poll() is None
    assert [lease.guest for lease in leases.stop(places)] == ["one"]
    assert guests["one"].wait() == -signal.SIGTERM
    assert not leases.leases(places)


def test_a_kept_guest_that_ended_by_itself_leaves_no_lease(places: Places) -> None:
    lease = orphan(places, kept=True, process=dead_process(), login=LOGIN)
    assert leases.kept(places) == ()
    assert leases.gc(places) == ()
    assert not leases.leases(places)
    assert not Path(lease.folder).exists()


def test_gc_removes_only_its_own_folder_whatever_a_lease_says(places: Places) -> None:
    precious = places.state / "precious"
    orphan(places, folder=str(precious))
    leases.gc(places)
    assert precious.is_dir()


def test_a_file_that_is_no_lease_is_left_alone(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    file = places.state / "leases" / "x.json"
    file.parent.mkdir()
    file.write_text("{}")
    assert leases.gc(places) == ()
    assert file.exists()
    assert "is not a valid lease" in caplog.text


def undo(folder: Path, word: str, status: int = 0, seconds: float = 10) -> Undo:
    """Write a word to a file that the test reads, then end with a status."""
    script = f'[ -d "$HOLD" ] && echo {word} >>ran; exit {status}'
    return Undo(("sh", "-c", script), seconds, {"HOLD": str(folder / "guests")}, str(folder))


def test_what_is_no_process_is_undone_in_order_before_its_folder_goes(places: Places) -> None:
    with leases.hold(places, "g") as tenancy:
        tenancy.undone_by(undo(places.state, "one"), undo(places.state, "two"))
        assert not (places.state / "ran").exists()
    assert (places.state / "ran").read_text() == "one\ntwo\n"
    assert not leases.leases(places)


def test_gc_undoes_what_a_killed_owner_left(places: Places) -> None:
    lease = orphan(places, undo=(undo(places.state, "ran"),))
    assert leases.gc(places) == (lease,)
    assert (places.state / "ran").read_text() == "ran\n"
    assert not Path(lease.folder).exists()


@pytest.mark.parametrize("bad", ["status", "time"])
def test_what_cannot_be_undone_keeps_its_lease_and_is_told(
    places: Places, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    hang = Undo(("sleep", "60"), 0.3)
    lease = orphan(places, undo=(undo(places.state, "x", status=3) if bad == "status" else hang,))
    assert leases.gc(places) == ()
    assert leases.leases(places) == (lease,)
    assert Path(lease.folder).exists()
    assert ("status 3" if bad == "status" else "within 0.3 s") in caplog.text


def test_one_command_that_fails_does_not_keep_the_next_from_trying(places: Places) -> None:
    orphan(places, undo=(undo(places.state, "one", status=1), undo(places.state, "two")))
    leases.gc(places)
    assert (places.state / "ran").read_text() == "one\ntwo\n"


def test_a_kept_guest_of_another_daemon_stays_until_it_is_stopped(places: Places) -> None:
    lease = orphan(places, kept=True, login=LOGIN, undo=(undo(places.state, "ran"),))
    assert leases.gc(places) == ()
    assert leases.kept(places) == (lease,)
    assert leases.stop(places) == (lease,)
    assert not leases.leases(places)
