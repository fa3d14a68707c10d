"""Turns one reply into one judgement.

Four cases stay apart: the kernel did something, the question could not be asked, the agent died,
and the harness failed.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec.structs import replace

from harness.model import TUNABLES, Judgement, State
from harness.scenarios.scenario import NO_SHUTDOWN, Scenario
from harness.scenarios.tally import server
from harness.wire.observation import DEFAULTS, Change, Member, Observation, number
from harness.wire.replies import UNSUPPORTED, Reply, check_echo, visible

ANSWERED, USAGE, BROKEN = 0, 64, 99

SIGALRM = 14
"""This number is the same on every system, as are the others in `SIGNALS`."""

SIGNALS = {6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", SIGALRM: "SIGALRM", 15: "SIGTERM"}

STARVED = 4
"""A time-out counts only if the guest ran for most of the time: a gap of more than a quarter of the
deadline makes the cell inconclusive (docs/traps.md, trap 12)."""

GUEST_STARVED = "guest was starved"

SHUTDOWN = "shutdown"
"""What a change is called in which a listener was to be shut down."""

FALLBACKS = "fallbacks"
"""The fact that counts connections that were to use MPTCP or TCP Fast Open, and do not."""

NOT_YET_SERVED = ("queued", "held", "repeated", "control-held", "control-repeated")
"""Phases in which `open` is the expected fate of a flow, not a time-out."""


class AskedQuestion(Protocol):
    """The question to which a reply belongs."""

    @property
    def id(self) -> str:
        """The name of the question's line in its batch."""

    @property
    def scenario(self) -> str:
        """The agent's name for the scenario."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """All keys and values of the question."""


def judge(scenario: Scenario, reply: Reply, question: AskedQuestion) -> Judgement:
    """Return the judgement of a reply: state `infrastructure` if it is not a valid answer."""
    failure = _failure(reply, question)
    if failure is not None or reply.observation is None:
        return Judgement(State.INFRASTRUCTURE, why=failure)
    return conclude(scenario, reply.observation)


def conclude(scenario: Scenario, seen: Observation) -> Judgement:
    """Judge the observation of an agent that answered, or that said why it cannot answer."""
    # From the outside in: a question that was not asked as planned has no verdict, whatever the
    # flows did, so the classifier comes last.
    if seen.unsupported is not None:
        return scenario.decline(seen)
    changed = _changed(seen)
    if changed is not None:
        return Judgement(State.INCONCLUSIVE, why=changed)
    refused = seen.refusal()
    if refused is not None:
        why = _refused(refused, seen.listeners)
        return scenario.refuse(seen) or Judgement(State.NOT_APPLICABLE, why=why)
    failed = next((change for change in seen.changes if change.error is not None), None)
    if failed is not None:
        return _not_done(scenario, seen, failed)
    strangers = sum(flows.fates.count("foreign") for flows in seen.flows)
    if strangers:
        why = f"somebody else's server answered {strangers} flows on this port"
        return Judgement(State.INCONCLUSIVE, why=why, counts={"foreign": strangers})
    if (fell := seen.facts.get(FALLBACKS, 0)) != 0:
        form = "TCP Fast Open" if seen.parameters.get("accept") == "fast-open" else "MPTCP"
        why = f"{visible(str(fell))} connections fell back from {form} to TCP"
        return Judgement(State.INCONCLUSIVE, why=why)
    return _unless_starved(seen, scenario.classify(seen))


def _failure(reply: Reply, question: AskedQuestion) -> str | None:
    """Return why a reply is not an answer to this question; None if it is one."""
    if reply.signal:
        return death(reply.signal, question.parameters)
    said = {
        USAGE: "the agent does not understand the question",
        BROKEN: "the agent's own set-up failed",
    }
    if reply.status in said:
        return said[reply.status]
    if reply.status == UNSUPPORTED and reply.raw.startswith(b'{"event":"exit"'):
        return f"the agent does not know {question.scenario}"
    if reply.torn is not None:
        return f"torn answer: {reply.torn}"
    if reply.status not in (ANSWERED, UNSUPPORTED):
        return f"the agent ended with status {reply.status}"
    return check_echo(reply, question.id, question.scenario, question.parameters)


def death(signal: int, parameters: Mapping[str, str]) -> str:
    """Return what ended a question's process."""
    if signal == SIGALRM:
        return (
            f"the agent's own alarm ended it after {parameters.get('alarm', DEFAULTS['alarm'])} s"
        )
    return f"the agent was ended by signal {signal} {SIGNALS.get(signal, '')}".rstrip()


def _changed(seen: Observation) -> str | None:
    """Return a sentence if a tunable no longer had the value that was set for the question."""
    name, given, value = seen.parameters.get(TUNABLES, "").partition("=")
    found = seen.facts.get(name)
    if not given or str(found) == value:
        return None
    now = "not read back" if found is None else f"{visible(str(found))} at the end"
    return f"tunable changed under the measurement: {visible(name)} was set to {value}, {now}"


def _refused(member: Member, listeners: int) -> str:
    which = f"listener {member.index + 1} of {listeners}"
    if member.index >= listeners:
        which = "one more socket"
    return f"{which} was refused: {visible(member.call or '')} {member.error}"


def _not_done(scenario: Scenario, seen: Observation, failed: Change) -> Judgement:
    """Judge that a change was refused: of a listener's shutdown() that is the kernel's answer.

    Only the first shutdown() says so; a later one that is refused, when others were not, does not.
    Nor does a datagram socket, which is no listener and has no peer (ENOTCONN, POSIX).
    """
    listens = any(one.index == failed.member and one.listen is not None for one in seen.members)
    shut = failed.what == SHUTDOWN and NO_SHUTDOWN in scenario.words
    first = next((change for change in seen.changes if change.what == SHUTDOWN), None)
    if shut and listens and failed is first:
        later = _served_later(seen, failed)
        counts = {"served_by_it_afterwards": later} if later else {}
        return Judgement(State.MEASURED, f"{NO_SHUTDOWN}:{failed.error}", counts=counts)
    what = f"{visible(failed.what)} of listener {failed.member + 1} failed: {failed.error}"
    return Judgement(State.NOT_APPLICABLE, why=what)


def _served_later(seen: Observation, change: Change) -> int:
    """Count what the member answered after the change; nothing if it was told to pause before."""
    return sum(
        server(fate) == change.member and began + took > change.at
        for flows in seen.flows
        for fate, began, took in zip(flows.fates, flows.started, flows.took, strict=True)
    )


def starved(judgement: Judgement) -> bool:
    """Return whether a verdict was withdrawn because the guest got too little CPU; ask it again."""
    return (judgement.why or "").startswith(GUEST_STARVED)


def _unless_starved(seen: Observation, judgement: Judgement) -> Judgement:
    """Withdraw a verdict if flows timed out and the guest did not run for too long."""
    late = sum(
        fate == "timeout" or (fate == "open" and flows.phase not in NOT_YET_SERVED)
        for flows in seen.flows
        for fate in flows.fates
    )
    patient = seen.gap * STARVED <= number(seen.parameters, "deadline")
    if late == 0 or patient or judgement.state is State.NOT_APPLICABLE:
        return judgement
    why = f"{GUEST_STARVED}: it did not run for {seen.gap} ms, and {late} flows timed out"
    return replace(judgement, state=State.INCONCLUSIVE, verdict=None, why=why)
