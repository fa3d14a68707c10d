"""What the agent saw: frozen events in the order of its lines. `wire.replies` creates them."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

LARGEST = 2**31 - 1
"""The largest count, index or time of the agent, which keeps them in a C `int`."""

Natural = Annotated[int, Meta(ge=0, le=LARGEST)]

Errno = Annotated[str, Meta(pattern=r"\AE[A-Z0-9]{1,22}\Z")]

Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[!-~]+\Z")]
"""A name without spaces, in visible ASCII."""

Fate = (
    Natural
    | Annotated[str, Meta(pattern=r"\A(?:E[A-Z0-9]{1,22}|timeout|open|eof|foreign|failed)\Z")]
    | Annotated[tuple[Natural, ...], Meta(min_length=2)]
)
"""How a flow ended: the index of the member that served it, several indexes for a copied datagram,
an errno name, or one of `WORDS`."""

WORDS = ("timeout", "open", "eof", "foreign", "failed")
"""Fates that are neither a member nor an errno. `timeout`: no handshake (TCP) or no reply (UDP) by
the deadline. `open`: a handshake, then neither a reply nor an end. `eof`: an orderly end without a
reply. `foreign`: a server of another program answered. `failed`: an answer that says so."""


class Begin(Struct, frozen=True, forbid_unknown_fields=True, tag="begin", tag_field="event"):
    """The first event: the agent repeats the question."""

    wire: int
    id: Word
    scenario: Word
    token: Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    parameters: Mapping[str, str]


class Member(Struct, frozen=True, forbid_unknown_fields=True, tag="member", tag_field="event"):
    """A socket of the group. `bind` and `listen` are ranks within the trial, null if not done.

    `call` is the system call that failed and `error` its errno name; both are null if none failed.
    """

    index: Natural
    bind: Natural | None
    listen: Natural | None
    call: Word | None
    error: Errno | None


class Change(Struct, frozen=True, forbid_unknown_fields=True, tag="change", tag_field="event"):
    """Something was done to a member, `at` milliseconds after `begin`."""

    what: Word
    member: Natural
    at: Natural
    error: Errno | None


class Flows(Struct, frozen=True, forbid_unknown_fields=True, tag="flows", tag_field="event"):
    """The fates of a phase's flows; index i is the same flow in every phase that repeats it.

    `ports` are the clients' source ports. `started` is in milliseconds after `begin`, `took` in
    milliseconds from there to the fate.
    """

    phase: Word
    fates: tuple[Fate, ...]
    ports: tuple[Annotated[int, Meta(ge=1, le=65535)], ...]
    started: tuple[Natural, ...]
    took: tuple[Natural, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if the arrays differ in length; msgspec turns it into its own error."""
        lengths = {len(self.fates), len(self.ports), len(self.started), len(self.took)}
        if len(lengths) != 1:
            raise ValueError(f"arrays of {sorted(lengths)} flows")


class Attempt(Struct, frozen=True, forbid_unknown_fields=True, tag="attempt", tag_field="event"):
    """One try to bind (and listen); `call` and `error` as in `Member`."""

    what: Word
    call: Word | None
    error: Errno | None


class Fact(Struct, frozen=True, forbid_unknown_fields=True, tag="fact", tag_field="event"):
    """A fact about the guest or the trial (`backlog`, `retries`, `sysname`, a tunable)."""

    name: Word
    value: int | Annotated[str, Meta(max_length=4096)]


class Unsupported(
    Struct, frozen=True, forbid_unknown_fields=True, tag="unsupported", tag_field="event"
):
    """The question cannot be asked here; `why` is the agent's sentence."""

    why: Annotated[str, Meta(min_length=1, max_length=1024)]


class End(Struct, frozen=True, forbid_unknown_fields=True, tag="end", tag_field="event"):
    """The last event of a complete observation.

    `took` is the duration of the trial, `gap` the longest time without the CPU, both in ms.
    """

    took: Natural
    gap: Natural


class Exit(Struct, frozen=True, forbid_unknown_fields=True, tag="exit", tag_field="event"):
    """Written by the agent's batch parent: the exit status or signal of the question's process.

    `took` is how long the process lived, in ms; recordings from before lack it.
    """

    id: Word
    status: Natural
    signal: Natural
    took: Natural = 0


Event = Begin | Member | Change | Flows | Attempt | Fact | Unsupported | End | Exit


class Observation(Struct, frozen=True):
    """Everything that one agent process reported for one question, from `begin` to `end`."""

    begin: Begin
    members: tuple[Member, ...] = ()
    changes: tuple[Change, ...] = ()
    flows: tuple[Flows, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    facts: Mapping[str, int | str] = field(default_factory=dict)
    unsupported: str | None = None
    took: int = 0
    gap: int = 0

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters of the question, as the agent repeats them."""
        return self.begin.parameters

    @property
    def listeners(self) -> int:
        """How many members were asked for, without a newcomer or a bystander."""
        return number(self.parameters, "listeners")

    def phase(self, name: str) -> Flows:
        """Return the flows of a phase; `replies.parse` has checked that it exists."""
        return next(flows for flows in self.flows if flows.phase == name)

    def attempt(self, what: str) -> Attempt | None:
        """Return the attempt of that name; None if the agent did not get that far."""
        return next((attempt for attempt in self.attempts if attempt.what == what), None)

    def refusal(self) -> Member | None:
        """Return the first member that could not be set up; None if all could."""
        return next((member for member in self.members if member.error is not None), None)


DEFAULTS = {
    "listeners": 4,
    "flows": 400,
    "deadline": 8000,
    "alarm": 60,
    "sockets": 300,
    "rounds": 40,
    "ports": 2,
    "round": 20000,
}
"""The agent's defaults for parameters that a question leaves out (docs/wire.md, "Asking")."""

MOST = {
    "listeners": 64,
    "flows": 20000,
    "deadline": 600_000,
    "alarm": 3600,
    "sockets": 1000,
    "rounds": 1000,
    "ports": 8,
    "round": 20000,
}
"""The largest values that the agent accepts (docs/wire.md, "Asking"). They also limit what a guest
can make the harness count."""


def number(asked: Mapping[str, str], name: str) -> int:
    """Return a numeric parameter of a question; raise ValueError if no agent would accept it."""
    text = asked.get(name, str(DEFAULTS[name]))
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ValueError(f"parameter {name} is not a number")
    if not 1 <= int(text) <= MOST[name]:
        raise ValueError(f"parameter {name} is {int(text)}, not 1 to {MOST[name]}")
    return int(text)
