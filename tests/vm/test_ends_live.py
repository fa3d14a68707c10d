"""A run, or its guest, is ended from outside: nothing is left, and no answer is lost."""

import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from live_command import PATIENCE, Here, need_guest
from msgspec.structs import replace

from harness.machine.pid import is_alive
from harness.model import State
from harness.store.journal import Asked, GuestMet

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("ends")]

ONE = "linux-6.1"

SETTLED = {State.MEASURED, State.NOT_APPLICABLE, State.INCONCLUSIVE}

FEW = ("run", ONE, "--scenario", "distribution", "--scenario", "failure-arrivals", "--out", "run")
"""A scenario that takes three seconds, and one that takes as long in a batch of its own."""


@pytest.fixture
def here(tmp_path: Path) -> Here:
    need_guest(ONE)
    return Here(tmp_path)


def state_of(here: Here) -> dict[str, set[State]]:
    found: dict[str, set[State]] = {}
    for cell in here.matrix().cells:
        found.setdefault(cell.scenario, set()).add(cell.state)
    return found


def asked(here: Here) -> Counter[str]:
    """Return how often each cell was asked and answered."""
    lines = [line for line in here.journal() if isinstance(line, Asked) and not line.failure]
    return Counter(line.cell.key for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_booting_leaves_no_guest(number: signal.Signals, here: Here) -> None:
    with here.start(*FEW) as live:
        here.until_machine()
        live.process.send_signal(number)
        ended = live.ended()
    assert ended.status == 130, ended.err
    assert here.left() == []
    assert state_of(here) == {"distribution": {State.NOT_RUN}, "failure-arrivals": {State.NOT_RUN}}
    assert "error: interrupted" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_measuring_keeps_what_was_measured(
    number: signal.Signals, here: Here
) -> None:
    with here.start(*FEW) as live:
        live.until_said("scenario failure-arrivals")
        began = time.monotonic()
        live.process.send_signal(number)
        ended = live.ended()
        assert time.monotonic() - began < 10
    assert ended.status == 130, ended.err
    assert here.left() == []
    states = state_of(here)
    assert states["distribution"] <= SETTLED
    assert State.NOT_RUN in states["failure-arrivals"]
    assert State.INFRASTRUCTURE not in states["failure-arrivals"]
    assert "Traceback" not in ended.err
    resumed_asks_only_what_is_missing(here)


def resumed_asks_only_what_is_missing(here: Here) -> None:
    before = asked(here)
    assert before
    done = here("run", "--resume", "--out", "run")
    assert done.status == 0, done.err
    assert "scenario distribution" not in done.err
    assert {state for states in state_of(here).values() for state in states} <= SETTLED
    assert set(asked(here).values()) == {1}
    assert asked(here).keys() == {cell.cell.key for cell in here.matrix().cells}
    assert here.left() == []


def test_a_killed_run_is_judged_collected_and_resumed(here: Here) -> None:
    with here.start(*FEW) as live:
        live.until_said("scenario failure-arrivals")
        live.process.kill()
        live.process.wait()
    if os.uname().sysname == "Linux":  # elsewhere `gc` is the first to end it
        until = time.monotonic() + 10
        while here.machines():
            assert time.monotonic() < until, "QEMU outlives the run that owned it"
            time.sleep(0.05)
    assert len(here.leases()) == 1
    assert not (here.folder / "run" / "matrix.json").exists()
    judged = here("judge", "run")
    assert judged.status == 0, judged.err
    states = state_of(here)
    assert states["distribution"] <= SETTLED
    assert states["failure-arrivals"] & {State.NOT_RUN}
    resumed_asks_only_what_is_missing(here)


def test_gc_takes_away_what_a_killed_run_left(here: Here) -> None:
    with here.start(*FEW) as live:
        here.until_machine()
        live.process.kill()
        live.process.wait()
    assert here.leases()
    assert here("gc").status == 0
    assert here.left() == []


def test_a_guest_that_is_killed_costs_one_cell_and_one_boot(here: Here) -> None:
    with here.start(*FEW) as live:
        live.until_said("scenario failure-arrivals")
        time.sleep(0.5)  # into a question: it goes on for seconds
        (lease,) = here.leases()
        assert lease.process is not None
        assert is_alive(lease.process)
        os.kill(lease.process.pid, signal.SIGKILL)
        ended = live.ended()
    assert ended.status == 0, ended.err
    assert {state for states in state_of(here).values() for state in states} <= SETTLED
    assert len([line for line in here.journal() if isinstance(line, GuestMet)]) == 2
    lost = [line for line in here.journal() if isinstance(line, Asked) and line.failure]
    assert len(lost) == 1
    (cell,) = [cell for cell in here.matrix().cells if len(cell.repeats) > 1]
    assert [one.state is State.INFRASTRUCTURE for one in cell.repeats] == [True, False]
    assert set(asked(here).values()) == {1}
    assert here.left() == []


def test_a_guest_whose_time_is_over_costs_one_boot(here: Here) -> None:
    with here.start(*FEW) as live:
        live.until_said("scenario failure-arrivals")
        time.sleep(0.5)  # into a question: it goes on for seconds
        (lease,) = here.leases()
        over = replace(lease, expires=datetime.now(UTC))
        file = here.places.state / "leases" / f"{lease.id}.json"
        file.write_bytes(msgspec.json.encode(over))
        collected = here("gc")
        ended = live.ended()
    assert (collected.status, lease.guest in collected.out) == (0, True)
    assert f"although process {live.process.pid} still owns it" in collected.err
    assert ended.status == 0, ended.err
    assert len([line for line in here.journal() if isinstance(line, GuestMet)]) == 2
    assert set(asked(here).values()) == {1}
    assert asked(here).keys() == {cell.cell.key for cell in here.matrix().cells}
    assert here.left() == []


def test_a_run_out_of_time_keeps_what_was_measured(here: Here) -> None:
    began = time.monotonic()
    ended = here(*FEW, "--timeout", "1")
    assert time.monotonic() - began < PATIENCE
    assert ended.status == 3, ended.err
    assert "--timeout" in ended.err
    assert here.left() == []
