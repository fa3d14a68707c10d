"""Decides which guest goes next to which machine. Pure, so that a model can try it out.

At each event the whole rest of the run is planned anew, and only what begins now is done. A plan is
a list for each machine: longest first, each to where it ends earliest, improved by moving and
exchanging what ends last. Seconds are expectations, so a later plan may differ.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

EFFORT = 200_000
"""A plan is improved by at most this many moves and exchanges, divided by the square of its tasks:
each is chosen among about as many. So a plan of 200 tasks, too, takes about a second."""

SURE = 1e-6
"""Seconds by which a change must be better: differences below are rounding."""


class Task(Struct, frozen=True):
    """Work that any of these machines may do, and the seconds that it takes on each."""

    name: str
    seconds: Mapping[str, float]


class Station(Struct, frozen=True):
    """A machine that does `slots` tasks at once; `busy`: the seconds until each taken slot is free.

    A slot whose task takes longer than expected is free in 0 seconds, but not yet free.
    """

    name: str
    slots: int
    busy: tuple[float, ...] = ()

    @property
    def free(self) -> int:
        """How many slots are free now."""
        return max(0, self.slots - len(self.busy))


class Planned(Struct, frozen=True):
    """A task with its machine, and the seconds from now in which it begins and ends there.

    `now`: a slot is free for it at this moment.
    """

    task: str
    station: str
    begins: float
    ends: float
    now: bool


def starts(tasks: Iterable[Task], stations: Iterable[Station]) -> list[Planned]:
    """Return what begins now."""
    return [one for one in schedule(tasks, stations) if one.now]


def schedule(tasks: Iterable[Task], stations: Iterable[Station]) -> list[Planned]:
    """Plan all tasks that a machine with slots can do; the plan is in the order of their starts.

    Tasks that take equally long keep their order.
    """
    lists = {station: list[Task]() for station in stations if station.slots > 0}
    known = {station.name for station in lists}
    able = [task for task in tasks if known & task.seconds.keys()]
    for task in sorted(able, key=lambda one: _urgency(one, known)):
        _append(lists, task)
    for _ in range(EFFORT // max(1, len(able)) ** 2):
        if not _improved(lists):
            break
    while _taken_over(lists):
        pass
    planned = [one for station, own in lists.items() for one in _timed(station, own)]
    return sorted(planned, key=lambda one: (not one.now, one.begins))


def _urgency(task: Task, known: Iterable[str]) -> tuple[float, int]:
    """Longest first; of equal ones, those that fewer machines can do."""
    own = [seconds for name, seconds in task.seconds.items() if name in known]
    return -min(own), len(own)


Lists = dict[Station, list[Task]]
"""What each machine is to do."""


def _append(lists: Lists, task: Task) -> None:
    """Give a task to the machine on which it ends earliest; of equal ones, to the least busy."""

    def order(station: Station) -> tuple[float, float]:
        own = lists[station]
        return _end_of(task, station, own), (len(station.busy) + len(own)) / station.slots

    able = [station for station in lists if station.name in task.seconds]
    lists[min(able, key=order)].append(task)


def _end_of(task: Task, station: Station, own: Sequence[Task]) -> float:
    """Return when a task ends that is added to a machine's list."""
    found = _timed(station, [*own, task])
    return next(one.ends for one in found if one.task == task.name)


def _timed(station: Station, own: Sequence[Task]) -> list[Planned]:
    """Return when a machine does its tasks: longest first, each in the slot that is free first."""
    slots = [*((0.0, 0, index) for index in range(station.free))]
    slots += [(left, 1, index) for index, left in enumerate(station.busy)]
    heapq.heapify(slots)
    planned = list[Planned]()
    for task in sorted(own, key=lambda one: -one.seconds[station.name]):
        begins, taken, index = slots[0]
        ends = begins + task.seconds[station.name]
        planned.append(Planned(task.name, station.name, begins, ends, now=not taken))
        heapq.heapreplace(slots, (ends, 1, index))
    return planned


def _last(station: Station, own: Sequence[Task]) -> float:
    """Return when a machine has done all its tasks."""
    return max((one.ends for one in _timed(station, own)), default=0.0)


def _improved(lists: Lists) -> bool:
    """Move or exchange a task of the machine that ends last, so that it ends earlier."""
    lasts = {station: _last(station, own) for station, own in lists.items()}
    worst = max(lasts, key=lambda station: lasts[station], default=None)
    if worst is None:
        return False
    best, found = lasts[worst] - SURE, None
    for station, own, other in _changes(lists, worst):
        last = max(_last(worst, own), _last(station, other))
        if last < best:
            best, found = last, (station, own, other)
    if found is None:
        return False
    station, lists[worst], lists[station] = found
    return True


def _changes(lists: Lists, worst: Station) -> Iterable[tuple[Station, list[Task], list[Task]]]:
    """Yield each other machine, with both lists after one move to it or one exchange with it."""
    for task in lists[worst]:
        rest = [one for one in lists[worst] if one is not task]
        for station, own in lists.items():
            if station is worst or station.name not in task.seconds:
                continue
            yield station, rest, [*own, task]
            for other in own:
                if worst.name in other.seconds:
                    left = [one for one in own if one is not other]
                    yield station, [*rest, other], [*left, task]


def _taken_over(lists: Lists) -> bool:
    """Give a machine that would stay idle a task that ends earlier there than where it waits."""
    ends = {one.task: one.ends for station, own in lists.items() for one in _timed(station, own)}
    gains = [
        (ends[task.name] - task.seconds[idle.name], task, idle, station)
        for idle in lists
        if idle.free > len(lists[idle])
        for station, own in lists.items()
        for task in own
        if station is not idle and idle.name in task.seconds
    ]
    gain, task, idle, station = max(gains, key=lambda one: one[0], default=(0.0, None, None, None))
    if task is None or idle is None or station is None or gain <= SURE:
        return False
    lists[station] = [one for one in lists[station] if one is not task]
    lists[idle].append(task)
    return True
