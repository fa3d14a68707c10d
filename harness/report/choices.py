"""What an application has to choose by, and what each system was measured to answer.

Only measured cells answer. A kernel that was asked and gave no verdict is a span of its own without
an answer, so that none is claimed over it.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.matrix.evidence import Release, numbers
from harness.model import State, word
from harness.scenarios import CATALOGUE

OPTIONS = ("reuseport", "reuseport_lb")

SPECIAL = {"tunables", "peer", "source", "delivery"}
"""Axes that make a cell a special case, which says nothing of the usual one."""

USUAL = {"ack": "at-once"}
"""Axes that have a usual value: a handshake is not delayed."""

COMPARED = 2
"""Numbers of a release that are compared; what follows is fixes to one kernel."""

LARGEST = 9999
"""What such a number may be: two of them are one `long` of 32 bits (C99, 5.2.4.2.1)."""


class Choice(Struct, frozen=True):
    """What an application asks: the cells that answer it, at every family and bind address."""

    name: str
    scenario: str
    axes: Mapping[str, str]
    asks: str


TCP, UDP = {"protocol": "tcp"}, {"protocol": "udp"}

QUESTIONS = (
    Choice("BALANCE_TCP", "distribution", TCP, "who accepts new connections"),
    Choice("BALANCE_UDP", "distribution", UDP, "who gets many peers' datagrams"),
    Choice("TAKEOVER_TCP", "takeover", TCP, "who serves once a newcomer listens"),
    Choice("TAKEOVER_UDP", "takeover", UDP, "the same for datagrams"),
    Choice("QUEUE_AT_CLOSE", "failure-queued", {"failure": "close"}, "a closed listener's queue"),
    Choice("QUEUE_AT_KILL", "failure-queued", {"failure": "kill"}, "a killed worker's queue"),
    Choice("HANDSHAKE_AT_CLOSE", "failure-handshake", {"failure": "close"}, "the same, handshakes"),
    Choice("HANDSHAKE_AT_KILL", "failure-handshake", {"failure": "kill"}, "and when killed"),
    Choice(
        "OTHERS_AT_KILL", "failure-established", {"failure": "kill"}, "its siblings' connections"
    ),
    Choice(
        "ARRIVALS_AT_CLOSE", "failure-arrivals", {**TCP, "failure": "close"}, "new connections then"
    ),
    Choice("ARRIVALS_AT_KILL", "failure-arrivals", {**TCP, "failure": "kill"}, "and at a kill"),
    Choice(
        "FLOWS_AT_LEAVE_TCP", "failure-flows", {**TCP, "change": "leave"}, "whose flows move then"
    ),
    Choice("FLOWS_AT_LEAVE_UDP", "failure-flows", {**UDP, "change": "leave"}, "of datagrams"),
    Choice("FLOWS_AT_JOIN_TCP", "failure-flows", {**TCP, "change": "join"}, "at a newcomer"),
    Choice("FLOWS_AT_JOIN_UDP", "failure-flows", {**UDP, "change": "join"}, "of datagrams"),
    Choice("HUNG_WORKER", "failure-hung", TCP, "the share of a stopped worker"),
    Choice("BOUND_ONLY", "bound-only", TCP, "a socket that does not listen yet"),
    Choice("DRAIN_CLOSE", "drain", {"way": "close"}, "accept until empty, then close"),
    Choice("DRAIN_SHUTDOWN", "drain", {"way": "shutdown"}, "shutdown, then accept"),
    Choice("DRAIN_RELISTEN", "drain", {"way": "relisten-zero"}, "listen(fd, 0), then accept"),
    Choice("DRAIN_PASS", "drain", {"way": "pass"}, "pass the descriptor to a sibling"),
    Choice("DRAIN_INHERIT", "drain", {"way": "inherit"}, "a child has it from fork(2)"),
)


class Told(Struct, frozen=True):
    """A guest's words for a question, of all cells that it answered; none: asked in vain."""

    guest: str
    release: str
    number: Release
    words: frozenset[str]


class AnswerSpan(Struct, frozen=True):
    """Releases measured one after the other that have the same words, and who told them."""

    words: frozenset[str]
    told: tuple[Told, ...]

    @property
    def first(self) -> Release:
        """The oldest release of it."""
        return self.told[0].number

    @property
    def last(self) -> Release:
        """The newest release of it."""
        return self.told[-1].number


class Answers:
    """The cells of a matrix that may answer a question, by guest and scenario."""

    def __init__(self, matrix: Matrix) -> None:
        self._releases = dict(_releases(matrix))
        self._systems = {name: facts.get("system") for name, facts in matrix.guests.items()}
        self._cells: dict[tuple[str, str], list[Entry]] = {}
        for cell in matrix.cells:
            if cell.guest in self._releases and _tells(cell):
                self._cells.setdefault((cell.guest, cell.scenario), []).append(cell)

    def spans(self, system: str, question: Choice, option: str) -> tuple[AnswerSpan, ...]:
        """Return what a system answers, oldest release first; nothing if it never answered."""
        guests = sorted(name for name in self._releases if self._systems[name] == system)
        told = [one for name in guests if (one := self._told(name, question, option)) is not None]
        found = tuple(_spans(told))
        return found if any(span.words for span in found) else ()

    def _told(self, guest: str, question: Choice, option: str) -> Told | None:
        wanted = {**question.axes, "option": option}.items()
        cells = self._cells.get((guest, question.scenario), ())
        asked = [cell for cell in cells if wanted <= cell.axes.items()]
        if not asked:
            return None
        known = CATALOGUE[question.scenario].words
        said = {word(cell.verdict).partition(":")[0] for cell in asked if cell.verdict is not None}
        release, number = self._releases[guest]
        # A word that this version does not know is no answer, nor are the others beside it.
        words = frozenset(said) if said <= {*known} else frozenset[str]()
        return Told(guest, release, number, words)


def _releases(matrix: Matrix) -> Iterator[tuple[str, tuple[str, Release]]]:
    """Yield the guests of which the release is known and can be compared in C, too."""
    for name, facts in matrix.guests.items():
        release = facts.get("release")
        if isinstance(release, str):
            number = numbers(release)[:COMPARED]
            if len(number) == COMPARED and max(number) <= LARGEST:
                yield name, (release, number)


def _tells(cell: Entry) -> bool:
    """Whether a cell says something of its kernel, if only that it gave no verdict."""
    if cell.state in (State.NOT_RUN, State.INFRASTRUCTURE) or SPECIAL & cell.axes.keys():
        return False
    return all(cell.axes.get(axis, value) == value for axis, value in USUAL.items())


def _spans(told: Sequence[Told]) -> Iterator[AnswerSpan]:
    """Yield neighbours with the same words; of one release whoever answered is heard, together."""
    by_number: dict[Release, list[Told]] = {}
    for one in sorted(told, key=lambda one: (one.number, one.guest)):
        by_number.setdefault(one.number, []).append(one)
    group: list[Told] = []
    words: frozenset[str] = frozenset()
    for some in by_number.values():
        said = frozenset[str]().union(*(one.words for one in some))
        if group and words != said:
            yield AnswerSpan(words, tuple(group))
            group = []
        words = said
        group += [one for one in some if one.words or not said]
    if group:
        yield AnswerSpan(words, tuple(group))
