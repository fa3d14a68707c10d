"""The choices that an application has to make, and what each system was measured to answer.

Only measured cells answer. A kernel that was asked but gave no verdict gets a span of its own
without an answer, so no answer is claimed across it.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from harness.matrix import Entry, Matrix
from harness.matrix.evidence import Release, numbers
from harness.model import State, word
from harness.scenarios import CATALOGUE

OPTIONS = ("reuseport", "reuseport_lb")

SPECIAL = {"tunables", "peer", "source", "delivery", "accept"}
"""Axes that make a cell a special case, which does not answer for the usual one."""

SPECIAL_OF = {"failure-handshake": {"member"}}
"""The same of one scenario. Its usual cells have no such axis: a middle member fails. On Linux up
to 4.3, handshakes of the others are reset if that one fails, and none if the first one does."""

USUAL = {"ack": "at-once"}
"""Axes that have a usual value: a handshake is not delayed."""

COMPARED = 2
"""How many numbers of a release are compared. The later ones count fixes to one kernel."""

LARGEST = 9999
"""The largest such number: two of them must fit into one `long` of 32 bits (C99, 5.2.4.2.1)."""


class Choice(Struct, frozen=True):
    """An application's question, and which cells answer it, at every family and bind address."""

    name: str
    scenario: str
    axes: Mapping[str, str]
    asks: str

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its answers; of two options beside each other, none is asked about."""
        return tuple(one for one in CATALOGUE[self.scenario].words if one not in OPTIONS)


TCP, UDP = {"protocol": "tcp"}, {"protocol": "udp"}

QUESTIONS = (
    Choice("BALANCE_TCP", "distribution", TCP, "which listeners get new connections"),
    Choice("BALANCE_UDP", "distribution", UDP, "which sockets get datagrams of many peers"),
    Choice(
        "ADDRESS_TCP",
        "precedence",
        {**TCP, "pair": "address"},
        "who is served: a socket at the address, or one at the wildcard",
    ),
    Choice("TAKEOVER_TCP", "takeover", TCP, "which listener serves once a newcomer listens"),
    Choice("TAKEOVER_UDP", "takeover", UDP, "the same for datagrams"),
    Choice("QUEUE_AT_CLOSE", "failure-queued", {"failure": "close"}, "a closed listener's queue"),
    Choice("QUEUE_AT_KILL", "failure-queued", {"failure": "kill"}, "a killed worker's queue"),
    Choice(
        "HANDSHAKE_AT_CLOSE",
        "failure-handshake",
        {"failure": "close"},
        "a closed listener's handshakes",
    ),
    Choice(
        "HANDSHAKE_AT_KILL",
        "failure-handshake",
        {"failure": "kill"},
        "a killed worker's handshakes",
    ),
    Choice(
        "OTHERS_AT_KILL",
        "failure-established",
        {"failure": "kill"},
        "connections of a killed worker's siblings",
    ),
    Choice(
        "ARRIVALS_AT_CLOSE",
        "failure-arrivals",
        {**TCP, "failure": "close"},
        "new connections while a listener closes",
    ),
    Choice(
        "ARRIVALS_AT_KILL",
        "failure-arrivals",
        {**TCP, "failure": "kill"},
        "new connections while a worker is killed",
    ),
    Choice(
        "FLOWS_AT_LEAVE_TCP",
        "failure-flows",
        {**TCP, "change": "leave"},
        "which flows move when a member leaves",
    ),
    Choice(
        "FLOWS_AT_LEAVE_UDP", "failure-flows", {**UDP, "change": "leave"}, "the same for datagrams"
    ),
    Choice(
        "FLOWS_AT_JOIN_TCP",
        "failure-flows",
        {**TCP, "change": "join"},
        "which flows move when a member joins",
    ),
    Choice(
        "FLOWS_AT_JOIN_UDP", "failure-flows", {**UDP, "change": "join"}, "the same for datagrams"
    ),
    Choice("HUNG_WORKER", "failure-hung", TCP, "new connections of a stopped worker"),
    Choice("BOUND_ONLY", "bound-only", TCP, "a socket that does not listen yet"),
    Choice("DRAIN_CLOSE", "drain", {"way": "close"}, "accept until empty, then close"),
    Choice("DRAIN_SHUTDOWN", "drain", {"way": "shutdown"}, "shutdown, then accept"),
    Choice("DRAIN_RELISTEN", "drain", {"way": "relisten-zero"}, "listen(fd, 0), then accept"),
    Choice("DRAIN_PASS", "drain", {"way": "pass"}, "pass the descriptor to a sibling"),
    Choice("DRAIN_INHERIT", "drain", {"way": "inherit"}, "leave it to a child of fork(2)"),
)


class Told(Struct, frozen=True):
    """A guest's words for a question, from all its cells. Empty if it was asked without verdict."""

    guest: str
    release: str
    number: Release
    words: frozenset[str]


class AnswerSpan(Struct, frozen=True):
    """Neighbouring measured releases that have the same words, and the guests that ran them."""

    words: frozenset[str]
    told: tuple[Told, ...]

    @property
    def first(self) -> Release:
        """The oldest release of the span."""
        return self.told[0].number

    @property
    def last(self) -> Release:
        """The newest release of the span."""
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
        """Return a system's answers, oldest release first; none if it never gave a verdict."""
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
        known = question.words
        said = {word(cell.verdict).partition(":")[0] for cell in asked if cell.verdict is not None}
        release, number = self._releases[guest]
        # A word that this version does not know spoils the answer: it may contradict the others.
        words = frozenset(said) if said <= {*known} else frozenset[str]()
        return Told(guest, release, number, words)


def _releases(matrix: Matrix) -> Iterator[tuple[str, tuple[str, Release]]]:
    """Yield the guests whose release is known and can also be compared in C."""
    for name, facts in matrix.guests.items():
        release = facts.get("release")
        if isinstance(release, str):
            number = numbers(release)[:COMPARED]
            if len(number) == COMPARED and max(number) <= LARGEST:
                yield name, (release, number)


def _tells(cell: Entry) -> bool:
    """Whether a cell is about the usual case of a kernel that was asked."""
    special = SPECIAL | SPECIAL_OF.get(cell.scenario, set())
    if cell.state in (State.NOT_RUN, State.INFRASTRUCTURE) or special & cell.axes.keys():
        return False
    return all(cell.axes.get(axis, value) == value for axis, value in USUAL.items())


def _spans(told: Sequence[Told]) -> Iterator[AnswerSpan]:
    """Yield neighbouring releases with the same words.

    All guests of one release count together; one without a verdict counts only if none has one.
    """
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
