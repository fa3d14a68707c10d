"""The lives of one guest: what a crash costs, what is asked again, what is never a verdict."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import FakeTransport, reply
from msgspec import Struct
from simulated_agent import answer
from simulated_kernels import Kernel
from simulated_trial import NEWEST, SCALED

from harness.agent import Builder
from harness.deadline import Cancellation, Deadline
from harness.errors import BootError, GuestLostError, NotRunError, Phase
from harness.judge import GUEST_STARVED
from harness.machine.capacity import Turns
from harness.machine.places import Places
from harness.matrix import Matrix
from harness.model import AgentSource, Cell, Depth, Guest, Judgement, State, Trial
from harness.protocols import Completed, Sink, Transport
from harness.run import ledger
from harness.run.engine import measure
from harness.run.guest_job import GuestJob
from harness.scenarios import CATALOGUE, cells
from harness.store import Asked, RunBegun, Store, judge_folder, judged
from harness.store.journal import read

SHARING = [
    cell
    for cell in cells(Depth.QUICK, ["distribution"])
    if cell.axes["option"] == "reuseport" and cell.setting is None
]

NEWLINE = "\n"

Answer = Callable[[str], str]


class Mortal(FakeTransport):
    """A guest that is lost at its question number `last`, after half an answer."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.left = last

    def batch(self, lines: Sequence[str], into: Sink) -> None:
        """Answer until that question."""
        if not lines[0].startswith("facts "):
            if self.left <= len(lines):
                into("".join(map(reply, lines[: self.left]))[:-30].encode())
                raise GuestLostError(Phase.SCENARIO, "gone")
            self.left -= len(lines)
        super().batch(lines, into)


class Lives(Struct, frozen=True):
    """A provider whose boots are these, in turn: a transport, or an error."""

    boots: list[Transport | Exception]
    booted: list[int]

    def refusal(self, guest: Guest) -> str | None:
        """Refuse no guest."""
        return None

    def download(self, guest: Guest) -> str | None:
        """Need nothing."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[Transport]:
        """Yield the next life; the last one is used for all further boots."""
        life = self.boots.pop(0) if len(self.boots) > 1 else self.boots[0]
        self.booted.append(1)
        if isinstance(life, Exception):
            raise life
        yield life


class Bench:
    """Measures a fake guest and judges what the journal kept."""

    def __init__(self, folder: Path, *boots: Transport | Exception) -> None:
        program = folder / "agent"
        program.write_bytes(b"#!/bin/sh\n")
        self.folder = folder / "run"
        self.guest = Guest("fake", "Fake", AgentSource(path=str(program)))
        self.provider = Lives(list(boots), [])
        self.cancellation = Cancellation()
        self.builder = Builder(Places(folder / "cache", folder / "state"))
        self.trials: list[Trial] = []
        self.told: list[str] = []
        self.turns = Turns(2)

    def phase(self, guest: str, phase: Phase, detail: str = "") -> None:
        """Ignore the phase."""
        self.told.append(detail)

    def trial(self, trial: Trial, done: int, total: int) -> None:
        """Keep the trial."""
        self.trials.append(trial)

    def measure(self, asked: Sequence[Cell] = SHARING) -> Matrix:
        """Run, then judge from the folder alone."""
        begun = RunBegun("id", "now", Depth.QUICK, "0", {"fake": "Fake"}, tuple(asked))
        with Store.create(self.folder, begun) as store:
            subject = GuestJob(
                self.guest,
                Depth.QUICK,
                self.provider,
                self.builder,
                store.guest("fake"),
                self,
                self.cancellation,
                self.turns,
            )
            measure(subject, asked)
        return judge_folder(self.folder)


def states(matrix: Matrix) -> list[State]:
    return [cell.state for cell in matrix.cells]


def test_a_guest_that_does_not_come_up_shows_the_end_of_its_console(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    console = "".join(f"line {number}\n" for number in range(100)) + "panic \x1b[2J\n"
    Bench(tmp_path, BootError("no SSH", console=console)).measure()
    shown = [text for text in caplog.messages if "console: " in text]
    assert "fake: console: line 99" in shown
    assert "fake: console: panic \\x1b[2J" in shown
    assert "fake: console: line 50" not in shown


class Hearing(FakeTransport):
    """A guest that remembers the questions of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    def batch(self, lines: Sequence[str], into: Sink) -> None:
        """Note the questions, and answer them."""
        self.batches.append(list(lines))
        super().batch(lines, into)


def test_questions_with_different_tunables_are_never_asked_in_one_batch(tmp_path: Path) -> None:
    """A tunable applies to the whole guest, and the questions of a batch run at the same time."""
    asked = cells(Depth.FULL, ["failure-handshake", "failure-queued"])
    guest = Hearing()
    Bench(tmp_path, guest).measure(asked)
    found = [
        {one.partition("tunables=")[2].split(" ")[0] for one in lines} for lines in guest.batches
    ]
    assert all(len(settings) == 1 for settings in found)
    assert sum(map(len, guest.batches)) == len(asked) + 1  # and the facts
    assert {*found[-1]} != {""}


def test_every_cell_is_measured_and_told_of_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeTransport())
    matrix = bench.measure()
    assert set(states(matrix)) <= {State.MEASURED, State.NOT_APPLICABLE}
    assert State.MEASURED in states(matrix)
    assert [trial.cell for trial in bench.trials] == SHARING
    assert matrix.guests["fake"]["release"]


def test_a_crash_costs_one_cell_and_one_reboot(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Mortal(2), FakeTransport())
    matrix = bench.measure()
    assert len(bench.provider.booted) == 2
    assert State.INFRASTRUCTURE not in states(matrix)
    assert [len(cell.repeats) for cell in matrix.cells] == [1, 2, *[1] * (len(SHARING) - 2)]
    assert len(bench.trials) == len(SHARING)


def test_a_cell_that_kills_every_guest_is_infrastructure_and_the_others_stand(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, Mortal(1), Mortal(len(SHARING)), FakeTransport())
    matrix = bench.measure()
    assert states(matrix).count(State.INFRASTRUCTURE) == 1
    assert matrix.cells[0].state is State.INFRASTRUCTURE
    assert re.fullmatch(r"scenario after 0\.\d s: gone", matrix.cells[0].why or "")
    assert matrix.cells[0].verdict is None


def test_a_guest_that_never_boots_is_given_up_with_its_phase(tmp_path: Path) -> None:
    bench = Bench(tmp_path, BootError("no SSH- within 60 s"))
    matrix = bench.measure()
    assert len(bench.provider.booted) == 2
    assert set(states(matrix)) == {State.INFRASTRUCTURE}
    (why,) = {cell.why or "" for cell in matrix.cells}
    assert re.fullmatch(r"boot after 0\.\d s: no SSH- within 60 s", why)


def test_a_guest_that_boots_at_the_second_try_is_measured(tmp_path: Path) -> None:
    matrix = Bench(tmp_path, BootError("panic"), FakeTransport()).measure()
    assert State.INFRASTRUCTURE not in states(matrix)


def test_what_turns_out_to_be_missing_is_not_run(tmp_path: Path) -> None:
    matrix = Bench(tmp_path, NotRunError("no suite offers the package")).measure()
    assert set(states(matrix)) == {State.NOT_RUN}
    assert matrix.cells[0].why == "no suite offers the package"


class Impostor(FakeTransport):
    """A guest with a program that answers every question, even an unknown scenario."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        into: Sink | None = None,
        **limits: float | None,
    ) -> Completed:
        """Succeed, whatever was asked."""
        done = super().run(argv, stdin=stdin, into=into, **limits)
        return Completed(0, done.stdout, b"")


def test_an_agent_that_knows_the_canary_is_never_believed(tmp_path: Path) -> None:
    matrix = Bench(tmp_path, Impostor()).measure()
    assert set(states(matrix)) == {State.INFRASTRUCTURE}
    assert "unknown scenario" in (matrix.cells[0].why or "")


@pytest.mark.parametrize("said", ["", "\x1b[2J\n", '{"event":"end"'])
def test_a_guest_that_does_not_say_what_it_is_fails_with_that_phase(
    tmp_path: Path, said: str
) -> None:
    matrix = Bench(tmp_path, FakeTransport(lambda _: said)).measure()
    assert set(states(matrix)) == {State.INFRASTRUCTURE}
    assert all((cell.why or "").startswith("facts after 0.") for cell in matrix.cells)


def test_a_question_that_a_signal_ended_says_which_and_how_long_it_took(tmp_path: Path) -> None:
    def killed(line: str) -> str:
        if " facts " in line:
            return reply(line)
        exit_ = {"event": "exit", "id": line.split()[0], "status": 0, "signal": 14, "took": 30012}
        return f"{reply(line).partition(NEWLINE)[0]}\n{json.dumps(exit_, separators=(',', ':'))}\n"

    bench = Bench(tmp_path, FakeTransport(killed))
    matrix = bench.measure()
    for line in read(bench.folder / "journal.jsonl").lines:
        if isinstance(line, Asked):
            assert line.seconds == 30.012
            assert line.failure is not None
            assert line.failure.sentence.startswith("scenario after 30.0 s: the agent's own alarm")
    assert all((cell.why or "").startswith("scenario after 30.0 s: ") for cell in matrix.cells)
    assert set(states(matrix)) == {State.INFRASTRUCTURE}


def test_a_torn_answer_names_its_phase(tmp_path: Path) -> None:
    def torn(line: str) -> str:
        return reply(line) if "facts" in line else reply(line)[:-40] + "\n"

    matrix = Bench(tmp_path, FakeTransport(torn)).measure()
    assert set(states(matrix)) == {State.INFRASTRUCTURE}
    assert all((cell.why or "").startswith("scenario: ") for cell in matrix.cells)


def test_rubbish_is_asked_once_more_and_then_never_a_verdict(tmp_path: Path) -> None:
    def rubbish(line: str) -> str:
        return reply(line) if "facts" in line else "\x1b[2Jballoons\n" * 20

    bench = Bench(tmp_path, FakeTransport(rubbish))
    matrix = bench.measure()
    assert set(states(matrix)) == {State.INFRASTRUCTURE}
    assert {len(cell.repeats) for cell in matrix.cells} == {2}


def test_a_question_that_is_left_out_is_asked_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def forgetful(line: str) -> str:
        asked.append(line)
        return "" if line.startswith("q1 ") and len(asked) < 5 else reply(line)

    matrix = Bench(tmp_path, FakeTransport(forgetful)).measure()
    assert State.INFRASTRUCTURE not in states(matrix)
    assert [len(cell.repeats) for cell in matrix.cells][:3] == [1, 2, 1]


class Murdered(FakeTransport):
    """A guest that one question kills; it has answered earlier questions with a load, no others."""

    def __init__(self, murderer: str) -> None:
        super().__init__()
        self._murderer = murderer

    def batch(self, lines: Sequence[str], into: Sink) -> None:
        """Answer until that question comes."""
        if not any(self._murderer in line for line in lines):
            super().batch(lines, into)
            return
        for line in (one for one in lines if "load=0" not in one):
            if self._murderer in line:
                break
            into(reply(line).encode())
        raise GuestLostError(Phase.SCENARIO, "killed")


def test_a_question_that_kills_its_guest_is_found_though_others_wait_beside_it(
    tmp_path: Path,
) -> None:
    sharing = cells(Depth.QUICK, ["sharing"])
    asked = [*sharing, *(one for one in cells(Depth.QUICK, ["failure-queued"]) if not one.setting)]
    bench = Bench(tmp_path, Murdered("case=only-second"))
    found = bench.measure(asked).cells
    failed = [cell for cell in found if State.INFRASTRUCTURE in {one.state for one in cell.repeats}]
    assert {cell.axes["case"] for cell in failed} == {"only-second"}
    assert len(bench.provider.booted) == 2


def test_a_cancelled_guest_keeps_what_it_answered_and_asks_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeTransport())

    def cancelling(line: str) -> str:
        if "facts" not in line:
            bench.cancellation.say()
        return reply(line)

    bench.provider.boots[0] = FakeTransport(cancelling)
    both = [*SHARING, *cells(Depth.QUICK, ["takeover"])]
    matrix = bench.measure(both)
    kept = [cell for cell in matrix.cells if cell.state is not State.NOT_RUN]
    assert {cell.scenario for cell in kept} == {"distribution"}
    assert len(kept) == 1  # the connection closed under the others


def test_no_command_asks_so_much_that_a_hanging_guest_is_waited_for_for_hours(
    tmp_path: Path,
) -> None:
    commands: list[tuple[int, float]] = []
    silences: list[float | None] = []

    class Watched(FakeTransport):
        def run(
            self,
            argv: Sequence[str],
            *,
            stdin: bytes = b"",
            into: Sink | None = None,
            **limits: float | None,
        ) -> Completed:
            commands.append((len(stdin.splitlines()), limits["timeout"] or 0.0))
            silences.append(limits.get("silence"))
            return super().run(argv, stdin=stdin, into=into, **limits)

    many = [cell for cell in cells(Depth.FULL) if cell.setting is None]
    matrix = Bench(tmp_path, Watched()).measure(many)
    assert len(matrix.cells) == len(many)
    assert max(count for count, _ in commands) <= 128
    assert max(timeout for _, timeout in commands) <= 640
    # If the agent hangs, each question has an alarm, and these must not be waited for in turn.
    longest = max(scenario.alarm for scenario in CATALOGUE.values())
    asked = [silence for silence in silences if silence is not None]
    assert asked
    assert max(asked) <= longest + 10


def test_a_guest_whose_time_is_over_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.clocks.life", lambda *_: 0.0)
    bench = Bench(tmp_path, Mortal(1), Mortal(2), FakeTransport())
    matrix = bench.measure()
    assert len(bench.provider.booted) == 1
    assert set(states(matrix)) <= {State.INFRASTRUCTURE, State.MEASURED}
    assert states(matrix)[-1] is State.INFRASTRUCTURE


def test_a_failure_keeps_when_it_was_and_what_the_console_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path, BootError("no SSH- within 60 s", console="Kernel panic\n"))
    bench.measure()
    lines = read(bench.folder / "journal.jsonl").lines
    asked = [line for line in lines if isinstance(line, Asked)]
    for line in asked:
        assert line.failure is not None
        assert (line.failure.phase, line.failure.console) == (Phase.BOOT, "Kernel panic\n")
        assert line.failure.seconds is not None


def test_a_starved_cell_is_asked_again_and_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, FakeTransport())
    seen = list[str]()

    def starving(line: Asked, raw: bytes) -> Judgement:
        seen.append(line.cell.key)
        if len(seen) > 1:
            return judged(line, raw)
        return Judgement(State.INCONCLUSIVE, why=f"{GUEST_STARVED}: it did not run for 4000 ms")

    monkeypatch.setattr(ledger, "judged", starving)
    matrix = bench.measure()
    assert len(bench.provider.booted) == 2
    assert [len(cell.repeats) for cell in matrix.cells] == [2, *[1] * (len(SHARING) - 1)]
    assert State.INCONCLUSIVE not in {trial.outcome.state for trial in bench.trials}


def test_a_guest_is_measured_on_cpus_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeTransport())
    bench.turns = Turns(1)
    with bench.turns.taken(1, bench.cancellation):
        thread = threading.Thread(target=bench.measure)
        thread.start()
        until = time.monotonic() + 10
        while "waits for a CPU" not in bench.told and time.monotonic() < until:
            time.sleep(0.01)
        assert not bench.trials
    thread.join()
    assert len(bench.trials) == len(SHARING)


NEIGHBOURS = [
    cell
    for cell in cells(Depth.FULL, ["distribution"])
    if (cell.axes["option"], cell.axes["protocol"]) == ("reuseport", "tcp")
    and "peer" not in cell.axes
    and cell.setting is None
]


class Odd(FakeTransport):
    """A guest with a simulated kernel; at one place it is another one."""

    def __init__(self, odd: Kernel) -> None:
        self.odd = odd
        super().__init__(self.say)

    def say(self, line: str) -> str:
        """Answer as the kernel at this place would."""
        name, scenario, *pairs = line.split()
        if scenario == "facts":
            return reply(line)
        parameters = dict(pair.split("=", 1) for pair in pairs)
        there = (parameters["family"], parameters["bind"]) == ("ipv6", "specific")
        said = answer(self.odd if there else SCALED, scenario, parameters)
        return said.decode().replace('"id":"q"', f'"id":"{name}"')


@pytest.mark.parametrize(
    ("second", "why"),
    [(SCALED, "repeats disagree: newest 1 of 2, balanced 1 of 2"), (NEWEST, None)],
)
def test_what_contradicts_its_neighbours_is_asked_again_on_a_fresh_guest(
    tmp_path: Path, second: Kernel, why: str | None
) -> None:
    bench = Bench(tmp_path, Odd(NEWEST), Odd(second))
    matrix = bench.measure(NEIGHBOURS)
    assert len(NEIGHBOURS) == 5
    asked = {len(entry.repeats) for entry in matrix.cells if entry.axes["bind"] == "wildcard"}
    assert (asked, len(bench.provider.booted)) == ({1}, 2)
    (odd,) = [entry for entry in matrix.cells if len(entry.repeats) > 1]
    assert (odd.axes["family"], odd.why, len(odd.repeats)) == ("ipv6", why, 2)
    assert judge_folder(bench.folder) == matrix


def test_a_guest_that_does_not_come_back_keeps_its_doubtful_verdict(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Odd(NEWEST), BootError("no SSH"))
    matrix = bench.measure(NEIGHBOURS)
    (odd,) = [entry for entry in matrix.cells if len(entry.repeats) > 1]
    assert (odd.axes["bind"], odd.verdict) == ("specific", "newest")
