"""The agent's language (docs/wire.md), strictly: bytes of a batch -> replies, whole or torn.

Nothing that a guest says makes `parse` raise, and a block that is spoilt spoils no other. What is
whole keeps every promise of docs/wire.md, so that nobody after this checks shapes again.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import msgspec
from msgspec import Struct

from harness.observation import (
    Attempt,
    Begin,
    Change,
    End,
    Event,
    Exit,
    Fact,
    Flows,
    Member,
    Observation,
    Script,
    Unsupported,
    flows_expected,
    indexes,
    number,
    script,
    standing_order,
)

VERSION = 1

LINE_CAP = BLOCK_CAP = 4 << 20
"""Bytes; the longest honest block (20000 flows, six phases) has about 3 MiB."""

QUOTED = 200
"""Characters of a guest's text that a sentence of ours repeats, at most."""

UNSUPPORTED = 77

_DECODER = msgspec.json.Decoder(Event)


class Reply(Struct, frozen=True):
    """What came of one question: an observation, or why there is none (`torn`).

    `status` and `signal` are None if the batch did not get so far as to say how the question's
    process ended. `id` is empty if nobody said it. `raw` are the bytes, for the journal.
    """

    id: str
    observation: Observation | None
    torn: str | None
    status: int | None
    signal: int | None
    raw: bytes


class _Line(Struct, frozen=True):
    """A line of a block: an event, or what is wrong with it."""

    start: int
    event: Event | None = None
    fault: str = ""


def visible(text: str) -> str:
    """Return a guest's text with control and foreign characters escaped, cut to a sentence."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= QUOTED else escaped[: QUOTED - 1] + "~"


def _once(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    """Refuse what msgspec lets pass: a key that stands twice, of which the last would win."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("the same key twice")
    return dict(pairs)


def _decode(start: int, line: bytes) -> _Line:
    if not line.endswith(b"\n"):
        return _Line(start, fault="the last line is cut off")
    if len(line) > LINE_CAP:
        return _Line(start, fault=f"a line of {len(line)} bytes, {LINE_CAP} is the most")
    if not line.isascii():
        return _Line(start, fault="a line is not ASCII")
    try:
        event = _DECODER.decode(line)
        json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError) as exc:  # msgspec's errors are ValueErrors
        return _Line(start, fault=f"not a line of the agent's language: {visible(str(exc))}")
    return _Line(start, event)


def parse(text: bytes) -> tuple[Reply, ...]:
    """Take a batch's standard output apart, also one that was cut off; never raise."""
    replies = [_reply(text, lines, end) for lines, end in _blocks(text)]
    ids = [reply.id for reply in replies]
    twice = {id for id, count in Counter(ids).items() if id and count > 1}
    return tuple(
        msgspec.structs.replace(reply, observation=None, torn="one question, several answers")
        if reply.id in twice
        else reply
        for reply in replies
    )


def _blocks(text: bytes) -> Iterator[tuple[list[_Line], int]]:
    """Yield the lines of each block and where it ends: at its `exit`, or where another begins."""
    block: list[_Line] = []
    begun: str | None = None
    start = 0
    for raw in _lines(text):
        line, end = _decode(start, raw), start + len(raw)
        said = line.event.id if isinstance(line.event, Begin | Exit) else None
        if said is not None and begun is not None and said != begun:
            yield block, start
            block, begun = [], None
        block.append(line)
        begun = said or begun
        if isinstance(line.event, Exit):
            yield block, end
            block, begun = [], None
        start = end
    if block:
        yield block, start


def _lines(text: bytes) -> Iterator[bytes]:
    """Yield lines with their ends; a carriage return ends none, unlike with bytes.splitlines()."""
    *lines, rest = text.split(b"\n")
    yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def _reply(text: bytes, lines: Sequence[_Line], end: int) -> Reply:
    raw = text[lines[0].start : end]
    events = [line.event for line in lines if line.event is not None]
    exit_ = next((event for event in events if isinstance(event, Exit)), None)
    begin = next((event for event in events if isinstance(event, Begin)), None)
    named = exit_ or begin
    if len(raw) > BLOCK_CAP:
        torn = f"an answer of {len(raw)} bytes, {BLOCK_CAP} is the most"
    else:
        spoilt = (line.fault for line in lines if line.fault)
        torn = next(spoilt, "") or next(_faults(events), "")
    return Reply(
        id=named.id if named else "",
        observation=None if torn else _observation(events),
        torn=torn or None,
        status=exit_.status if exit_ else None,
        signal=exit_.signal if exit_ else None,
        raw=raw,
    )


T = TypeVar("T", bound=Event)


def _of(kind: type[T], events: Sequence[Event]) -> tuple[T, ...]:
    return tuple(event for event in events if isinstance(event, kind))


def _observation(events: Sequence[Event]) -> Observation:
    """Gather the events of a block that has no fault."""
    (begin,), (end,) = _of(Begin, events), _of(End, events)
    unsupported = _of(Unsupported, events)
    return Observation(
        begin=begin,
        members=_of(Member, events),
        changes=_of(Change, events),
        flows=_of(Flows, events),
        attempts=_of(Attempt, events),
        facts={fact.name: fact.value for fact in _of(Fact, events)},
        unsupported=unsupported[0].why if unsupported else None,
        took=end.took,
        gap=end.gap,
    )


def _faults(events: Sequence[Event]) -> Iterator[str]:
    """Yield what breaks the promises of docs/wire.md; a later check relies on the earlier ones."""
    yield from _faults_of_frame(events)
    begin, *_ = _of(Begin, events)
    try:
        plan = script(begin)
        deadline, flows = number(begin, "deadline"), number(begin, "flows")
    except ValueError as exc:
        yield visible(str(exc))
        return
    if plan is None or deadline < 1 or flows < 1:
        yield f"no question of ours: {visible(begin.scenario)}"
        return
    yield from _faults_of_names(events)
    yield from _faults_of_numbers(begin, events)
    yield from _faults_of_script(begin, plan, _observation(events))


def _faults_of_frame(events: Sequence[Event]) -> Iterator[str]:
    if not events or not isinstance(events[0], Begin):
        yield "no begin: it said nothing of the question" if len(events) < 2 else "no begin first"
    if len(_of(Begin, events)) != 1:
        yield "begin twice"
    if len(_of(Exit, events)) != 1:
        yield "cut off: the batch did not say how the question's process ended"
    if len(_of(End, events)) != 1 or len(events) < 3 or not isinstance(events[-2], End):
        yield "no end: it stopped half-way" if not _of(End, events) else "end is not the last event"
    (begin,), (exit_,) = _of(Begin, events), _of(Exit, events)
    if begin.wire != VERSION:
        yield f"wire version {begin.wire}, {VERSION} is spoken here"
    unsupported = len(_of(Unsupported, events))
    if unsupported > 1 or (unsupported == 1) != (exit_.status == UNSUPPORTED):
        yield f"unsupported said {unsupported} times, and exit status {exit_.status}"


def _faults_of_names(events: Sequence[Event]) -> Iterator[str]:
    names = [
        *(f"member {member.index}" for member in _of(Member, events)),
        *(f"phase {flows.phase}" for flows in _of(Flows, events)),
        *(f"attempt {attempt.what}" for attempt in _of(Attempt, events)),
    ]
    yield from (f"{one} twice" for one, other in pairwise(sorted(names)) if one == other)
    outcomes = [(member.call, member.error) for member in _of(Member, events)]
    outcomes += [(attempt.call, attempt.error) for attempt in _of(Attempt, events)]
    for call, error in outcomes:
        if (call is None) != (error is None):
            yield "a call without its errno, or an errno without its call"


def _faults_of_numbers(begin: Begin, events: Sequence[Event]) -> Iterator[str]:
    """Indexes lie within the group, a newcomer and one to spare; arrays are of one length."""
    limit = indexes(begin)
    named = [member.index for member in _of(Member, events)]
    named += [change.member for change in _of(Change, events)]
    for flows in _of(Flows, events):
        count = flows_expected(begin, flows.phase)
        lengths = {len(flows.fates), len(flows.ports), len(flows.started), len(flows.took)}
        if len(lengths) != 1 or (count is not None and lengths != {count}):
            yield f"phase {flows.phase} has {sorted(lengths)} flows, {count} were asked for"
        for fate in flows.fates:
            if not isinstance(fate, str):
                named += [fate] if isinstance(fate, int) else fate
    yield from (f"member {index} of {limit - 2}" for index in named if index >= limit)


def _faults_of_script(begin: Begin, plan: Script, seen: Observation) -> Iterator[str]:
    """What was seen is the script, whole; only an `unsupported` may end it anywhere."""
    phases = tuple(flows.phase for flows in seen.flows)
    attempts = tuple(attempt.what for attempt in seen.attempts)
    facts = sum(isinstance(seen.facts.get(name), int) for name in plan.facts)
    full, plan = plan, plan.as_far_as(seen)
    for what, found, due in (
        ("phases", len(phases), len(plan.phases)),
        ("members", len(seen.members), plan.members),
        ("changes", len(seen.changes), plan.changes),
        ("attempts", len(attempts), len(plan.attempts)),
        ("facts", facts, len(plan.facts)),
    ):
        if found > due or (found < due and seen.unsupported is None):
            yield f"{found} {what}, {due} belong to {begin.scenario}"
    if phases != plan.phases[: len(phases)] or attempts != plan.attempts[: len(attempts)]:
        yield f"phases or attempts that do not belong to {begin.scenario}, or not in this order"
    order = [member.index for member in seen.members]
    due_order = list(standing_order(begin, full.members)[: plan.members])
    if order != due_order[: len(order)]:
        yield f"members {order}, {due_order} belong to {begin.scenario}"


def check_echo(reply: Reply, id: str, scenario: str, parameters: Mapping[str, str]) -> str | None:
    """Return why the reply is not to this question, None if it is."""
    if reply.id != id:
        return f"question {id} was answered as {visible(reply.id)}"
    if reply.observation is None:
        return None
    begin = reply.observation.begin
    if begin.scenario != scenario:
        return f"{scenario} was asked, {visible(begin.scenario)} was answered"
    if dict(begin.parameters) != dict(parameters):
        changed = sorted({*begin.parameters.items()} ^ {*parameters.items()})
        return f"the answer repeats another question: {visible(str(changed))}"
    return None
