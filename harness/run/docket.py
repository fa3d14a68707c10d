"""The errands of a run that are still to be done, and what is known of the machines meanwhile."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from harness.errors import ElsewhereError, MachineLostError
from harness.run.errands import Errand, Seconds
from harness.run.machines import Start
from harness.run.policy import Station, Task, starts

CHANCES = 2
"""A guest is measured on another machine once. If that is lost, too, the guest may be the cause."""


class Sent(Struct, frozen=True):
    """An errand on a machine, and the time at which it is expected to end."""

    errand: Errand
    start: Start
    ends: float


class Stranded(Struct, frozen=True):
    """An errand that no machine can do any more, and why."""

    errand: Errand
    why: str


class Docket:
    """Which errands wait, which are under way, and which machines are lost.

    `slots` is how many errands each machine does at once.
    """

    def __init__(
        self, errands: Iterable[Errand], slots: Mapping[str, int], seconds: Seconds
    ) -> None:
        self._waiting = {errand.label: errand for errand in errands}
        self._slots = slots
        self._seconds = seconds
        self._sent: dict[str, Sent] = {}
        self._lost: dict[str, str] = {}

    @property
    def waiting(self) -> tuple[Errand, ...]:
        """The errands that were not begun, or must be begun again."""
        return tuple(self._waiting.values())

    def due(self, now: float) -> list[Sent]:
        """Return what begins now; it counts as under way until `done` or `back`."""
        tasks = [self._task(errand) for errand in self._waiting.values()]
        found = list[Sent]()
        for one in starts(tasks, self._stations(now)):
            errand = self._waiting.pop(one.task)
            start = next(at for at in self._able(errand) if at.machine.name == one.station)
            sent = self._sent[one.task] = Sent(errand, start, now + one.ends)
            found.append(sent)
        return found

    def done(self, sent: Sent) -> None:
        """Note that an errand has ended."""
        self._sent.pop(sent.errand.label)

    def back(self, sent: Sent, failure: ElsewhereError) -> Stranded | None:
        """Note that an errand must be done elsewhere, or return it if that is impossible.

        A guest is asked all its cells there. A copy is asked only what is left: all copies of a
        guest are the same guest.
        """
        self.done(sent)
        errand, machine = sent.errand, sent.start.machine.name
        if isinstance(failure, MachineLostError):
            self._lost[machine] = str(failure)
            errand = replace(errand, lost=(*errand.lost, machine))
            why = f"machine {machine} was lost ({failure}), and no other machine can start it"
        else:
            errand = replace(errand, unfit=(*errand.unfit, machine))
            why = f"{failure}; no other machine can start it"
        if errand.kin is not None:
            left = tuple(cell for cell in errand.cells if cell not in failure.answered)
            errand = replace(errand, cells=left)
        if len(errand.lost) >= CHANCES:
            where = " and then ".join(errand.lost)
            return Stranded(errand, f"the machines {where} were lost while it ran there")
        if not self._able(errand):
            return Stranded(errand, why)
        self._waiting[errand.label] = errand
        return None

    def stranded(self) -> list[Stranded]:
        """Take out and return the errands that wait, and that no machine is left for."""
        found = [errand for errand in self._waiting.values() if not self._able(errand)]
        for errand in found:
            del self._waiting[errand.label]
        return [Stranded(errand, self._why(errand)) for errand in found]

    def _why(self, errand: Errand) -> str:
        names = [one.machine.name for one in errand.candidate.starts]
        lost = "; ".join(f"{name}: {self._lost[name]}" for name in names if name in self._lost)
        return f"no machine is left that can start it ({lost})"

    def _able(self, errand: Errand) -> tuple[Start, ...]:
        """Return where an errand can be done: where it has answers already, if that is there."""
        gone = {*self._lost, *errand.unfit}
        able = tuple(one for one in errand.candidate.starts if one.machine.name not in gone)
        home = tuple(one for one in able if one.machine.name == errand.candidate.home)
        return home or able

    def _task(self, errand: Errand) -> Task:
        able = self._able(errand)
        return Task(errand.label, {one.machine.name: self._seconds(errand, one) for one in able})

    def _stations(self, now: float) -> list[Station]:
        busy = {name: list[float]() for name in self._slots}
        for sent in self._sent.values():
            busy[sent.start.machine.name].append(max(0.0, sent.ends - now))
        return [
            Station(name, slots, tuple(busy[name]))
            for name, slots in self._slots.items()
            if name not in self._lost
        ]
