"""A strict parser of the agent's language (docs/wire.md): bytes of a batch -> replies.

No output of a guest makes `parse` raise, and a faulty block does not affect the others. A reply
with an observation keeps every promise of docs/wire.md, so later code need not check shapes again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeVar

import msgspec
from msgspec import Struct

from harness.wire.blocks import BLOCK_CAP, Block, blocks
from harness.wire.observation import (
    DEFAULTS,
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
    Unsupported,
    number,
)
from harness.wire.script import Script, Scripts

VERSION = 1

QUOTED = 200
"""The most characters of a guest's text that a message repeats."""

UNSUPPORTED = 77
"""The agent's exit status for a question that it cannot be asked (docs/wire.md)."""


class Reply(Struct, frozen=True):
    """The reply to one question: an observation, or the reason why there is none (`torn`).

    `status` and `signal` tell how the question's process ended, and are None if the batch stopped
    before that line. `id` is empty if no line named the question. `raw` are the bytes for the
    journal. `took` is the duration in ms that a complete answer gives, else how long its process
    lived, or 0 if neither is known.
    """

    id: str
    observation: Observation | None
    torn: str | None
    status: int | None
    signal: int | None
    raw: bytes
    took: int = 0


def visible(text: str) -> str:
    """Return a guest's text with all but visible ASCII escaped, cut to `QUOTED` characters."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= QUOTED else escaped[: QUOTED - 1] + "~"


def parse(text: bytes, scripts: Scripts) -> tuple[Reply, ...]:
    """Return the replies in a batch's standard output, even if it was cut off; never raise.

    `scripts` gives the steps of a complete answer to each question.
    """
    return _single(map(partial(_reply, scripts), blocks(text)))


def outline(text: bytes, scripts: Scripts) -> tuple[Reply, ...]:
    """Return the same replies as `parse` without their observations, which may be large."""
    return _single(map(partial(_head, scripts), blocks(text)))


def _single(replies: Iterable[Reply]) -> tuple[Reply, ...]:
    """Return the replies; of several answers to one question, none is believed."""
    found: list[Reply] = []
    first: dict[str, int] = {}
    for reply in replies:
        at = first.setdefault(reply.id, len(found))
        found.append(reply)
        if reply.id and at < len(found) - 1:
            found[at], found[-1] = _disbelieved(found[at]), _disbelieved(reply)
    return tuple(found)


def _head(scripts: Scripts, block: Block) -> Reply:
    return msgspec.structs.replace(_reply(scripts, block), observation=None)


def _disbelieved(reply: Reply) -> Reply:
    torn = "one question, several answers"
    return msgspec.structs.replace(reply, observation=None, torn=torn, took=0)


def _reply(scripts: Scripts, block: Block) -> Reply:
    exit_ = next(iter(_of(Exit, block.events)), None)
    begin = next(iter(_of(Begin, block.events)), None)
    named = exit_ or begin
    if len(block.raw) > BLOCK_CAP:
        torn = f"an answer of {len(block.raw)} bytes, {BLOCK_CAP} is the most"
    else:
        torn = visible(block.fault) or next(_faults(scripts, block.events), "")
    observation = None if torn else _observation(block.events)
    return Reply(
        id=named.id if named else "",
        observation=observation,
        torn=torn or None,
        status=exit_.status if exit_ else None,
        signal=exit_.signal if exit_ else None,
        raw=block.raw,
        took=observation.took if observation else exit_.took if exit_ else 0,
    )


T = TypeVar("T", bound=Event)


def _of(kind: type[T], events: Sequence[Event]) -> tuple[T, ...]:
    return tuple(event for event in events if isinstance(event, kind))


def _observation(events: Sequence[Event]) -> Observation:
    """Return the events of a block without a fault as an observation."""
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


def _faults(scripts: Scripts, events: Sequence[Event]) -> Iterator[str]:
    """Yield each broken promise of docs/wire.md.

    The first one counts: each check relies on the earlier ones, so their order matters.
    """
    yield from _faults_of_frame(events)
    begin, *_ = _of(Begin, events)
    try:
        for name in DEFAULTS:
            number(begin.parameters, name)
    except ValueError as exc:
        yield visible(str(exc))
        return
    write = scripts.get(begin.scenario)
    if write is None:
        yield f"no question of ours: {visible(begin.scenario)}"
        return
    plan = write(begin.parameters)
    yield from _faults_of_names(events)
    yield from _faults_of_numbers(begin, plan, events)
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


def _faults_of_numbers(begin: Begin, plan: Script, events: Sequence[Event]) -> Iterator[str]:
    """Yield a fault for each index outside the group and each phase of the wrong length.

    A newcomer and one more index are allowed beyond the group, and every member that is due.
    """
    group = number(begin.parameters, plan.group)
    limit = plan.generations or max(group + 2, 1 + max(plan.members, default=0))
    counts = plan.flows(begin.parameters)
    named = [member.index for member in _of(Member, events)]
    named += [change.member for change in _of(Change, events)]
    for flows in _of(Flows, events):
        count = counts.get(flows.phase)
        if count is not None and len(flows.fates) != count:
            yield f"phase {flows.phase} has {len(flows.fates)} flows, {count} were asked for"
        for fate in flows.fates:
            if not isinstance(fate, str):
                named += [fate] if isinstance(fate, int) else fate
    yield from (f"member {index} of {group}" for index in named if index >= limit)


def _faults_of_script(begin: Begin, plan: Script, seen: Observation) -> Iterator[str]:
    """Yield a fault for each difference from the script; `unsupported` may end it anywhere."""
    phases = tuple(flows.phase for flows in seen.flows)
    attempts = tuple(attempt.what for attempt in seen.attempts)
    facts = sum(isinstance(seen.facts.get(name), int) for name in plan.facts)
    plan = plan.as_far_as(seen)
    for what, found, due in (
        ("phases", len(phases), len(plan.phases)),
        ("members", len(seen.members), len(plan.members)),
        ("changes", len(seen.changes), plan.changes),
        ("attempts", len(attempts), len(plan.attempts)),
        ("facts", facts, len(plan.facts)),
    ):
        if found > due or (found < due and seen.unsupported is None):
            yield f"{found} {what}, {due} belong to {begin.scenario}"
    if phases != plan.phases[: len(phases)] or attempts != plan.attempts[: len(attempts)]:
        yield f"phases or attempts that do not belong to {begin.scenario}, or not in this order"
    order = [member.index for member in seen.members]
    due_order = list(plan.members)
    if order != due_order[: len(order)]:
        yield f"members {order}, {due_order} belong to {begin.scenario}"


def check_echo(reply: Reply, id: str, scenario: str, parameters: Mapping[str, str]) -> str | None:
    """Return why the reply does not belong to this question; None if it does."""
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
