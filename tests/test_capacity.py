"""What a machine carries, and whose turn it is."""

import threading
import time

import pytest

from harness.deadline import Cancellation
from harness.machine import capacity
from harness.machine.capacity import Turns, jobs
from harness.model import AgentSource, Guest
from harness.model.guest import Host, Qemu, Remote

GIB = 1 << 30


@pytest.mark.parametrize(
    ("needs", "free", "cores", "accelerated", "expected"),
    [
        ([GIB] * 8, 100 * GIB, 2, False, 2),  # emulated: a core each
        ([GIB] * 8, 100 * GIB, 2, True, 3),  # one more boots while the others are measured
        ([GIB] * 8, 3 * GIB, 8, True, 2),  # no more than fit
        ([4 * GIB, GIB // 4, GIB // 4], 5 * GIB, 2, False, 1),  # the big one may meet a small one
        ([4 * GIB], GIB, 2, False, 1),  # one is tried, whatever is free
        ([0, 0, 0], GIB, 2, False, 2),  # machines that are elsewhere
        ([], GIB, 2, False, 1),
    ],
)
def test_as_many_guests_as_cores_and_memory_allow(
    needs: list[int], free: int, cores: int, accelerated: bool, expected: int
) -> None:
    found = jobs(needs, free, cores, accelerated=accelerated)
    assert min(found, len(needs) or 1) == min(expected, len(needs) or 1)


def test_what_a_guest_takes_is_in_its_file() -> None:
    guest = Guest(
        "g",
        "s",
        AgentSource(target="host"),
        qemu=Qemu(memory=512, cpus=4),
        host=Host(),
        ssh=Remote(),
    )
    sections = [guest.section(by) for by in ("qemu", "host", "ssh")]
    assert [section.cpus for section in sections] == [4, 1, 0]
    memory = [capacity.memory_of(section) for section in sections]
    assert memory == [(512 << 20) + capacity.OVERHEAD, 0, 0]
    assert capacity.memory() > 0
    assert capacity.cores() > 0


def test_no_more_cpus_are_given_out_than_there_are() -> None:
    turns, cancellation = Turns(2), Cancellation()
    lock, taken, most, begun = threading.Lock(), 0, 0, []

    def work(name: int, cpus: int) -> None:
        nonlocal taken, most
        with turns.taken(cpus, cancellation):
            with lock:
                taken += min(cpus, 2)
                most = max(most, taken)
                begun.append(name)
            time.sleep(0.02)
            with lock:
                taken -= min(cpus, 2)

    threads = [
        threading.Thread(target=work, args=(name, cpus)) for name, cpus in enumerate([1, 4, 1, 2])
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.005)
    assert not turns.free(1)
    for thread in threads:
        thread.join()
    assert most == 2
    assert begun == [0, 1, 2, 3]  # a big one is not overtaken for ever, nor a small one
    assert turns.free(2)


def test_who_waits_for_a_cpu_goes_on_when_the_run_ends() -> None:
    turns, cancellation = Turns(1), Cancellation()
    ended = threading.Event()

    def wait() -> None:
        with turns.taken(1, cancellation):
            ended.set()

    with turns.taken(1, cancellation):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not ended.wait(0.05)
        cancellation.say()
        assert ended.wait(5)
    thread.join()
    assert turns.free(1)
