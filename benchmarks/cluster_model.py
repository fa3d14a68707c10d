"""Plays runs of 30 guests on 8 unequal machines, and compares their time with lower bounds.

    python benchmarks/cluster_model.py [DRAWS]

No guest is booted: `harness.run.policy` is asked what to start, as in a run over a cluster, and a
clock jumps to the next end. Each draw has other machines and other speeds, and each guest takes
longer or shorter than its history says. Exits with 1 if a draw takes more than `LIMIT` times the
second bound where guests take about as long as they did before (`USUAL`).

No plan can be shorter than these bounds, and both know the true times, which the policy does not:

- pieces: a linear program may cut guests into pieces, and give them to several machines, but none
  to a machine on which it would take longer than the bound. So the bound includes the longest guest
  on its best machine, all work that only one machine can do, and all work spread ideally.
- whole: a mixed integer program keeps each guest whole. It is stopped after some seconds, and the
  bound is what it has proven by then.
"""

import heapq
import random
import statistics
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from harness.run.policy import Station, Task, starts

DRAWS = 50

LIMIT = 1.2

PATIENCE = 5.0
"""Seconds for one mixed integer program."""

EMULATED = 4.0
"""A guest without hardware acceleration takes this many times as long."""

MINUTES: Mapping[str, float] = {"Linux": 2.5, "FreeBSD": 7.5, "other BSD": 9.0, "gVisor": 4.0}
"""The full catalogue with hardware acceleration: measured with emulation, divided by `EMULATED`
(linux-6.1 10 minutes, freebsd-14 30 minutes), the other BSDs a little more; gVisor as measured."""

HOST, MACOS = 3.0, (2.0, 6.0)
"""Minutes for a machine's own kernel (measured), and for macOS in a VM of a Mac (a guess)."""

COUNTS: Mapping[str, int] = {"Linux": 9, "FreeBSD": 3, "other BSD": 4, "gVisor": 1}

MACS, ARMS = 3, 2
"""Guests with macOS, which only the Mac starts, and Linux guests for arm64: the arm64 box alone."""

USUAL = 0.05

SURPRISES = (0.0, USUAL, 0.15)
"""How much a guest's true time differs from its history: the sigma of a lognormal factor."""


class Box(Struct, frozen=True):
    """A machine: how many guests at once, its speed, and what it has."""

    name: str
    slots: int
    speed: float
    accelerated: bool
    architecture: str = "x86_64"


class Draw(Struct, frozen=True):
    """Machines, and the seconds that each guest takes on each: as expected, and in truth."""

    boxes: tuple[Box, ...]
    expected: Mapping[str, Mapping[str, float]]
    true: Mapping[str, Mapping[str, float]]


def draw(chance: random.Random, surprise: float) -> Draw:
    """Return a lab: a Mac, an arm64 box, and six hosts of which one to four have KVM."""
    speeds = [chance.uniform(0.7, 1.4) for _ in range(8)]
    fast = chance.randint(1, 4)
    boxes = (
        Box("mac", chance.choice([1, 2]), speeds[0], True, "arm64"),
        Box("arm", chance.choice([2, 4]), speeds[1], True, "aarch64"),
        *(Box(f"kvm{n}", chance.choice([1, 2, 4]), speeds[2 + n], True) for n in range(fast)),
        *(Box(f"tcg{n}", chance.choice([1, 2, 4]), speeds[2 + n], False) for n in range(fast, 6)),
    )
    expected = dict(_guests(boxes, chance))
    true = {
        name: {box: seconds * factor for box, seconds in guest.items()}
        for name, guest in expected.items()
        for factor in [chance.lognormvariate(0, surprise)]
    }
    return Draw(boxes, expected, true)


def _guests(
    boxes: Sequence[Box], chance: random.Random
) -> Sequence[tuple[str, Mapping[str, float]]]:
    found = list[tuple[str, Mapping[str, float]]]()
    for system, count in COUNTS.items():
        for number in range(count):
            minutes = MINUTES[system] * chance.uniform(0.8, 1.25)
            found.append((f"{system} {number}", _seconds(minutes, boxes, system)))
    for number in range(MACS):
        found.append((f"macOS {number}", {"mac": 60 * chance.uniform(*MACOS) / boxes[0].speed}))
    for number in range(ARMS):
        found.append((f"Linux arm64 {number}", {"arm": 60 * MINUTES["Linux"] / boxes[1].speed}))
    found += [(f"host@{box.name}", {box.name: 60 * HOST / box.speed}) for box in boxes]
    return found


def _seconds(minutes: float, boxes: Sequence[Box], system: str) -> Mapping[str, float]:
    """Return what an x86_64 guest takes on each box that can start it; gVisor needs no KVM."""
    found = {}
    for box in boxes:
        if box.architecture == "x86_64":
            emulated = not box.accelerated and system != "gVisor"
            found[box.name] = 60 * minutes * (EMULATED if emulated else 1) / box.speed
    return found


def played(lab: Draw) -> float:
    """Return how long the run takes: ask the policy at each end of a guest."""
    now, waiting = 0.0, dict(lab.expected)
    running = list[tuple[float, str, str, float]]()  # end, guest, box, expected end
    while waiting or running:
        stations = [_station(box, running, now) for box in lab.boxes]
        tasks = [Task(name, seconds) for name, seconds in waiting.items()]
        for one in starts(tasks, stations):
            del waiting[one.task]
            end = now + lab.true[one.task][one.station]
            heapq.heappush(running, (end, one.task, one.station, now + one.ends))
        now, *_ = heapq.heappop(running)
    return now


def _station(box: Box, running: Sequence[tuple[float, str, str, float]], now: float) -> Station:
    busy = (max(0.0, expected - now) for _, _, name, expected in running if name == box.name)
    return Station(box.name, box.slots, tuple(busy))


def pieces(lab: Draw) -> float:
    """Return the bound for guests that may be cut up, to one part in a thousand.

    Each step halves the range: is there a solution without machines that need longer than this?
    """
    low = max(min(seconds.values()) for seconds in lab.true.values())
    high = low
    while _spread(lab, high) > high:
        low, high = high, 2 * high
    while high > 1.001 * low:
        middle = (low + high) / 2
        low, high = (middle, high) if _spread(lab, middle) > middle else (low, middle)
    return low


def _spread(lab: Draw, longest: float) -> float:
    """Return the ideal time if no guest may take a machine that needs more than `longest`."""
    work = _Work(lab, [(box.name, box.slots) for box in lab.boxes], longest * (1 + 1e-9))
    done, load, cost = work.whole, work.load, work.cost
    found = linprog(cost, load, np.zeros(len(load)), done, np.ones(len(done)))
    return float(found.fun)


def whole(lab: Draw) -> float:
    """Return the bound for guests that stay whole, as far as it is proven in time."""
    slots = [(box.name, 1) for box in lab.boxes for _ in range(box.slots)]
    work = _Work(lab, slots, np.inf)
    count = len(work.cost)
    found = milp(
        work.cost,
        constraints=[
            LinearConstraint(work.whole, 1, 1),
            LinearConstraint(work.load, -np.inf, 0),
        ],
        integrality=np.append(np.ones(count - 1), 0),
        bounds=Bounds(np.zeros(count), np.append(np.ones(count - 1), np.inf)),
        options={"time_limit": PATIENCE, "mip_rel_gap": 0.01},
    )
    return float(found.mip_dual_bound)


class _Work:
    """The matrices of both programs: a column for each guest on each place, the last one for time.

    A row of `whole` is a guest, of which all must be done; a row of `load` is a place (machine and
    its slots), whose work must fit into the time; `cost` is the time.
    """

    def __init__(self, lab: Draw, places: Sequence[tuple[str, int]], longest: float) -> None:
        guests = list(lab.true)
        columns = [
            (guests.index(guest), row, lab.true[guest][box] / slots)
            for guest in guests
            for row, (box, slots) in enumerate(places)
            if lab.true[guest].get(box, np.inf) <= longest and box in lab.true[guest]
        ]
        self.whole = np.zeros((len(guests), len(columns) + 1))
        self.load = np.zeros((len(places), len(columns) + 1))
        for column, (guest, row, seconds) in enumerate(columns):
            self.whole[guest, column] = 1
            self.load[row, column] = seconds
        self.load[:, -1] = -1
        self.cost = np.append(np.zeros(len(columns)), 1)


def main(arguments: Sequence[str]) -> int:
    """Print the ratios; return 1 if one exceeds the limit."""
    draws = int(arguments[0]) if arguments else DRAWS
    guests = sum(COUNTS.values()) + MACS + ARMS + 8
    print(f"{draws} draws of {guests} guests on 8 machines: time / bound, median and worst")
    late = 0
    for surprise in SURPRISES:
        chance = random.Random(20)
        labs = [draw(chance, surprise) for _ in range(draws)]
        times = [played(lab) for lab in labs]
        for name, bound in (("pieces", pieces), ("whole", whole)):
            found = [time / bound(lab) for time, lab in zip(times, labs, strict=True)]
            above = sum(one > LIMIT for one in found)
            late += above if surprise <= USUAL and bound is whole else 0
            print(
                f"surprise {surprise:4.0%}  {name:6}  {statistics.median(found):.3f}  "
                f"{max(found):.3f}  above {LIMIT}: {above}"
            )
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
