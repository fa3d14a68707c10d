"""Guests on several machines: which one measures them, and what the loss of one costs."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import FakeTransport
from msgspec.structs import replace

from harness.deadline import Cancellation, Deadline
from harness.errors import MachineLostError, NotRunError, Phase, UsageError
from harness.machine.capacity import Turns
from harness.machine.places import Places
from harness.matrix import Matrix
from harness.model import Guest, State, Trial
from harness.protocols import Sink
from harness.providers import Offer
from harness.run.docket import Docket
from harness.run.errands import errands_of, labels
from harness.run.fleet import Fleet
from harness.run.interruption import Interruption
from harness.run.machines import Machine, fitted
from harness.run.outcome import unmeasured
from harness.run.plan import Plan, Request, plan
from harness.store import Asked, GuestMet, Store, judge_folder, lines_of

GUESTS = """\
system: Fake
agent: {path: agent}
gvisor: {installed: true}
releases:
  one: {}
  two: {}
"""

OWN = """\
name: mine
system: Mine
agent: {path: agent}
host: {}
"""
"""A guest that is the kernel of any machine, as `host` is; but nothing needs to be compiled."""

SCENARIOS = ("distribution", "failure-queued", "takeover")

LOST = "nothing was heard of it for 25 s"


class Lossy(FakeTransport):
    """A guest whose machine is lost after so many answers, of which the last one is not whole."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.left = answers

    def batch(self, lines: Sequence[str], into: Sink) -> None:
        """Answer until then."""
        if lines[0].startswith("facts "):
            super().batch(lines, into)
            return
        for line in lines:
            if self.left == 0:
                into(self._answer(line).encode()[:-30])
                raise MachineLostError(Phase.SCENARIO, LOST)
            self.left -= 1
            into(self._answer(line).encode())


class Hosted:
    """A machine of a cluster, and the provider that boots guests there.

    `boots` makes the transport of each boot, or raises.
    """

    target = ""
    accelerated = True

    def __init__(
        self,
        name: str,
        boots: Callable[[], FakeTransport] = FakeTransport,
        able: Sequence[str] = ("one", "two", "mine"),
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.turns = Turns(2)
        self.boots = boots
        self.able = able
        self.made = provenance or {}
        self.booted: list[str] = []
        self.at_end: Exception | None = None

    def best(self, guest: Guest) -> Offer:
        """Offer itself."""
        if guest.name.partition("@")[0] not in self.able:
            raise NotRunError(f"{guest.name} cannot be started on {self.name}")
        return Offer("host" if guest.gvisor is None else "gvisor", self, None, None)

    def startable(self, guest: Guest) -> bool:
        """Return whether it is among its guests."""
        return guest.name.partition("@")[0] in self.able

    def slots(self, guests: Sequence[Guest], *, servers: bool) -> int:
        """Take two at once."""
        return 2

    def refusal(self, guest: Guest) -> str | None:
        """Refuse no guest."""
        return None

    def download(self, guest: Guest) -> str | None:
        """Need nothing."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[FakeTransport]:
        """Yield the next guest."""
        self.booted.append(guest.label)
        transport = self.boots()
        transport.provenance = {**transport.provenance, **self.made}
        yield transport
        if self.at_end is not None:
            raise self.at_end


class Silent:
    """A face that keeps how each guest ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []

    def phase(self, guest: str, phase: Phase, detail: str = "") -> None:
        """Ignore it."""

    def trial(self, trial: Trial, done: int, total: int) -> None:
        """Ignore it."""

    def ended(self, guest: str, how: str) -> None:
        """Keep it."""
        self.ends.append((guest, how))


class Lab:
    """Runs over these machines, all in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "guests").mkdir()
        (folder / "guests" / "fake.yaml").write_text(GUESTS)
        (folder / "guests" / "mine.yaml").write_text(OWN)
        (folder / "guests" / "agent").write_bytes(b"#!/bin/sh\n")
        self.places = Places(folder / "cache", folder / "state")
        self.face = Silent()
        self.cancellation = Cancellation()
        self.given_up: Mapping[str, str] = {}

    def planned(self, *machines: Machine, **request: object) -> Plan:
        asked = Request(
            names=("one",),
            scenarios=SCENARIOS,
            folders=(self.folder / "guests",),
            out=self.folder / "run",
        )
        return plan(replace(asked, **request), self.places, lambda _, __: machines)

    def run(self, *machines: Machine, jobs: int | None = None, **request: object) -> Matrix:
        """Measure, and judge from the folder alone."""
        settled = self.planned(*machines, **request)
        begin = Store.resume if settled.resumed else Store.create
        with begin(settled.folder, settled.begun) as store:
            fleet = Fleet(
                *(settled, errands_of(settled), store, self.places, self.face, self.cancellation)
            )
            self.given_up = fleet.measure(jobs, Interruption(), None)
        matrix = judge_folder(settled.folder)
        self.said = unmeasured(settled, matrix, self.given_up)
        return matrix

    @property
    def asked(self) -> list[Asked]:
        return [line for line in lines_of(self.folder / "run") if isinstance(line, Asked)]

    def answered(self, machine: str) -> int:
        return len({line.cell for line in self.asked if line.machine == machine and line.raw[1]})


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def states(matrix: Matrix, row: str) -> set[State]:
    return {cell.state for cell in matrix.cells if cell.guest == row}


def count(matrix: Matrix, row: str) -> int:
    return sum(cell.guest == row for cell in matrix.cells)


def machine_of(matrix: Matrix, row: str) -> object:
    made = matrix.guests[row]["provenance"]
    assert isinstance(made, Mapping)
    return made["machine"]


def lost() -> FakeTransport:
    raise MachineLostError(Phase.BOOT, LOST)


def test_guests_are_measured_where_they_can_be_started(lab: Lab) -> None:
    machines = Hosted("a", able=["one"]), Hosted("b", able=["two"])
    matrix = lab.run(*machines, names=("one", "two"))
    assert [one.booted for one in machines] == [["one"], ["two"]]
    assert {line.machine for line in lab.asked if line.guest == "two"} == {"b"}
    assert machine_of(matrix, "two") == "b"
    assert not lab.said


def test_a_machine_that_is_lost_at_boot_costs_nothing(lab: Lab) -> None:
    machines = Hosted("a", lost), Hosted("b")
    matrix = lab.run(*machines)
    assert [one.booted for one in machines] == [["one"], ["one"]]
    assert list(matrix.guests) == ["one"]
    assert State.INFRASTRUCTURE not in states(matrix, "one")
    assert not any(line.failure for line in lab.asked)
    assert not lab.said


def test_a_guest_whose_machine_is_lost_is_asked_everything_on_another_one(lab: Lab) -> None:
    matrix = lab.run(Hosted("a", lambda: Lossy(3)), Hosted("b"))
    assert lab.answered("a") == 3  # the half answer is blamed on nobody
    assert count(matrix, "one@a") == 3
    assert lab.answered("b") == count(matrix, "one") > 3
    assert not any(line.failure for line in lab.asked)
    assert [machine_of(matrix, row) for row in ("one", "one@a")] == ["b", "a"]
    assert not lab.said


def test_a_lost_machine_gets_no_more_guests(lab: Lab) -> None:
    machines = Hosted("a", lost), Hosted("b")
    lab.run(*machines, jobs=1, names=("one", "two"))
    assert sorted(machines[1].booted) == ["one", "two"]
    assert len(machines[0].booted) == 1


def test_a_guest_whose_only_machine_is_lost_is_not_run_and_says_why(lab: Lab) -> None:
    matrix = lab.run(Hosted("a", lambda: Lossy(3)), Hosted("b", able=["two"]))
    why = f"machine a was lost ({LOST}), and no other machine can start it"
    assert lab.given_up == {"one": why}
    assert lab.said == (f"one: some cells were not asked: {why}",)
    assert states(matrix, "one") > {State.NOT_RUN}
    assert State.INFRASTRUCTURE not in states(matrix, "one")
    assert ("one", "not run") in lab.face.ends


def test_a_guest_of_all_guests_must_be_measured_too_if_its_machine_is_lost(lab: Lab) -> None:
    lab.run(Hosted("a", lost, able=["one"]), Hosted("b", able=["two"]), names=("available",))
    assert lab.said == (f"one was not measured: {lab.given_up['one']}",)


def test_a_guest_is_sent_to_another_machine_once(lab: Lab) -> None:
    machines = Hosted("a", lambda: Lossy(3)), Hosted("b", lambda: Lossy(4)), Hosted("c")
    matrix = lab.run(*machines)
    assert lab.given_up == {"one": "the machines a and then b were lost while it ran there"}
    assert not machines[2].booted
    assert count(matrix, "one@a") == 3
    assert sum(cell.state is not State.NOT_RUN for cell in matrix.cells) == 7


def test_guests_that_wait_for_a_machine_that_is_lost_are_given_up(lab: Lab) -> None:
    lab.run(Hosted("a", lost), Hosted("b", able=[]), jobs=1, names=("one", "two"))
    assert lab.given_up["two"] == f"no machine is left that can start it (a: {LOST})"
    assert len(lab.said) == 2


def test_a_machine_that_is_lost_when_all_is_answered_costs_nothing(lab: Lab) -> None:
    first, second = Hosted("a"), Hosted("b")
    first.at_end = MachineLostError(Phase.DESTROY, LOST)
    matrix = lab.run(first, second)
    assert not second.booted
    assert list(matrix.guests) == ["one"]
    assert not lab.given_up


def test_a_run_that_is_cancelled_sends_nobody_elsewhere(lab: Lab) -> None:
    def cancelled() -> FakeTransport:
        lab.cancellation.say()
        raise MachineLostError(Phase.BOOT, "the connection is closed")

    second = Hosted("b")
    lab.run(Hosted("a", cancelled), second)
    assert not second.booted
    assert not lab.given_up
    assert lab.face.ends == [("one", "interrupted")]


def test_a_bug_ends_the_run_and_is_raised(lab: Lab) -> None:
    def broken() -> FakeTransport:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.run(Hosted("a", broken), Hosted("b"))
    assert lab.cancellation.said


def test_an_error_of_the_run_does_not_wait_until_all_is_measured(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    class Endless(FakeTransport):
        def batch(self, lines: Sequence[str], into: Sink) -> None:
            if not lines[0].startswith("facts "):
                asked.set()
                assert self._closed.wait(20)
            super().batch(lines, into)

    def full(docket: Docket, sent: object, failure: object) -> None:
        assert asked.wait(20)
        raise OSError("the disk is full")

    monkeypatch.setattr(Docket, "back", full)
    machines = Hosted("a", lost, able=["one"]), Hosted("b", Endless, able=["two"])
    with pytest.raises(OSError, match="the disk is full"):
        lab.run(*machines, names=("one", "two"))


def test_a_machine_that_is_lost_while_it_is_asked_what_it_can_start_is_left_out(lab: Lab) -> None:
    class Gone(Hosted):
        def best(self, guest: Guest) -> Offer:
            raise MachineLostError(Phase.BOOT, LOST)

    matrix = lab.run(Gone("a"), Hosted("b"))
    assert machine_of(matrix, "one") == "b"
    alone = lab.planned(Gone("a")).candidates[0]
    assert (alone.starts, alone.why) == ((), LOST)


def test_jobs_is_for_each_machine(lab: Lab) -> None:
    together = threading.Barrier(2, timeout=20)

    def both() -> FakeTransport:
        together.wait()
        return FakeTransport()

    machines = Hosted("a", both), Hosted("b", both)
    lab.run(*machines, jobs=1, names=("one", "two"))
    assert sorted([*machines[0].booted, *machines[1].booted]) == ["one", "two"]
    assert len(machines[0].booted) == 1


def test_a_run_goes_on_where_the_guest_has_answers(lab: Lab) -> None:
    lab.run(Hosted("a", lambda: Lossy(3), able=["one"]), Hosted("b", able=["two"]))
    before = len(lab.asked)
    machines = Hosted("b"), Hosted("a")
    matrix = lab.run(*machines, names=(), scenarios=(), resume=True)
    assert machines[1].booted == ["one"]
    assert not machines[0].booted
    assert len(lab.asked) - before == count(matrix, "one") - 3
    assert list(matrix.guests) == ["one"]


def test_a_run_that_goes_on_elsewhere_asks_everything_there(lab: Lab) -> None:
    lab.run(Hosted("a", lambda: Lossy(3), able=["one"]), Hosted("b", able=["two"]))
    matrix = lab.run(Hosted(""), names=(), scenarios=(), resume=True)
    assert lab.answered("") == count(matrix, "one")
    assert count(matrix, "one@a") == 3
    assert not lab.said


def test_a_guest_that_was_answered_whole_is_not_asked_again_elsewhere(lab: Lab) -> None:
    lab.run(Hosted("a"))
    before, other = len(lab.asked), Hosted("b")
    lab.run(other, names=(), scenarios=(), resume=True)
    assert not other.booted
    assert len(lab.asked) == before
    assert lab.face.ends[-1] == ("one", "no cell is missing")


def test_host_is_each_machines_own_kernel(lab: Lab) -> None:
    machines = Hosted("a.lab"), Hosted("b")
    matrix = lab.run(*machines, names=("mine",))
    assert [one.booted for one in machines] == [["mine@a.lab"], ["mine@b"]]
    assert list(matrix.guests) == ["mine@a.lab", "mine@b"]
    assert (lab.folder / "run" / "guests" / "mine@b" / "agent.jsonl").exists()


def test_a_row_of_a_machine_waits_for_that_machine(lab: Lab) -> None:
    lab.run(Hosted("a", lambda: Lossy(3), able=["mine"]), names=("mine",))
    matrix = lab.run(Hosted("b"), names=(), scenarios=(), resume=True)
    assert list(matrix.guests) == ["mine@a"]
    assert lab.said == ("mine@a: some cells were not asked: no machine is called a",)


def test_this_machine_alone_has_no_name(lab: Lab) -> None:
    assert list(lab.run(Hosted(""), names=("mine",)).guests) == ["mine"]
    assert {line.machine for line in lab.asked} == {""}


def test_the_copies_of_a_guest_share_its_cells(lab: Lab) -> None:
    machine = Hosted("")
    matrix = lab.run(machine, shards=2)
    assert sorted(machine.booted) == ["one", "one+2"]
    settled = lab.planned(machine, names=("two", "mine"), shards=2)
    assert labels(settled, errands_of(settled)) == ["two", "two+2", "mine"]
    assert list(matrix.guests) == ["one"]
    assert len({line.cell for line in lab.asked}) == count(matrix, "one")
    assert not lab.said


def test_a_copy_whose_machine_is_lost_leaves_only_its_open_cells_to_another(lab: Lab) -> None:
    matrix = lab.run(Hosted("a", lambda: Lossy(2)), Hosted("b"), shards=2, jobs=1)
    assert list(matrix.guests) == ["one"]
    assert lab.answered("a") == 2
    assert lab.answered("a") + lab.answered("b") == count(matrix, "one")
    assert not lab.said


def test_a_copy_that_is_another_guest_is_refused(lab: Lab) -> None:
    odd = Hosted("b", provenance={"kernel_sha256": "0" * 64})
    matrix = lab.run(Hosted("a"), odd, shards=2, jobs=1)
    # Whichever came up first says what the guest is; the other's cells go to the same machine.
    assert {
        line.machine for line in lines_of(lab.folder / "run") if isinstance(line, GuestMet)
    } in (
        {"a"},
        {"b"},
    )
    assert list(matrix.guests) == ["one"]
    assert not lab.said


def test_copies_that_no_machine_can_make_are_not_run(lab: Lab) -> None:
    kernels = iter("012")

    def another() -> FakeTransport:
        transport = FakeTransport()
        transport.provenance = {**transport.provenance, "kernel_sha256": next(kernels) * 64}
        return transport

    lab.run(Hosted("a", another), shards=2)
    (said,) = lab.said
    assert "this copy is another guest: kernel_sha256 " in said
    assert "no other machine can start it" in said


def test_a_split_run_goes_on_with_copies_of_the_same_guest(lab: Lab) -> None:
    lab.run(Hosted("a", lambda: Lossy(3)), shards=2)
    matrix = lab.run(Hosted("b"), names=(), scenarios=(), resume=True)
    assert list(matrix.guests) == ["one"]
    assert lab.answered("a") + lab.answered("b") == count(matrix, "one")
    other = Hosted("c", provenance={"kernel_sha256": "1" * 64})
    assert not lab.said
    with pytest.raises(UsageError, match="the run used --shards 2"):
        lab.planned(other, resume=True, shards=3)


def test_what_cannot_be_split_is_said(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    machine = Hosted("")
    lab.run(machine, names=("mine",), shards=2)
    assert machine.booted == ["mine"]
    assert "mine is not split: each copy would be the same machine" in caplog.text


def test_copies_are_not_kept(lab: Lab) -> None:
    with pytest.raises(UsageError, match="--keep"):
        lab.planned(Hosted(""), shards=2, keep=True)


def test_an_agent_for_any_machine_is_made_for_the_one_that_runs_it(lab: Lab) -> None:
    guest = lab.planned(Hosted("", able=("host",)), names=("host",)).candidates[0].guest
    far = Hosted("a")
    far.target = "aarch64-macos"
    assert fitted(guest, far).agent.target == "aarch64-macos"
    far.target = "native"
    assert fitted(guest, far).agent.build == "guest-cc"
    assert fitted(guest, Hosted("")) == guest
