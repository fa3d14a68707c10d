"""A kernel's answer, a question that cannot be asked, and a failure never share a state."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from simulated_agent import SIMULATED, answer
from simulated_kernels import Kernel
from simulated_trial import Trial

from harness.judge import judge
from harness.model import Judgement, State
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.observation import Fate
from harness.wire.replies import Reply, parse

ASKED = {"listeners": "4", "flows": "40", "deadline": "7000", "protocol": "tcp", "alarm": "30"}


class Question:
    """A question, as `judge` needs it."""

    def __init__(self, scenario: str, parameters: Mapping[str, str] = ASKED) -> None:
        self.id, self.scenario, self.parameters = "q", scenario, parameters


def block(scenario: str, *events: str, status: int = 0, signal: int = 0) -> bytes:
    pairs = ",".join(f'"{name}":"{value}"' for name, value in ASKED.items())
    begin = f'{{"event":"begin","wire":1,"id":"q","scenario":"{scenario}",'
    begin += f'"token":"0123456789abcdef","parameters":{{{pairs}}}}}'
    exit_ = f'{{"event":"exit","id":"q","status":{status},"signal":{signal}}}'
    return "\n".join([begin, *events, exit_, ""]).encode()


END = '{"event":"end","took":5,"gap":0}'


def judged(scenario: str, text: bytes) -> Judgement:
    (reply,) = parse(text, SCRIPTS)
    return judge(CATALOGUE[scenario], reply, Question(scenario))


def unsupported(scenario: str, why: str) -> Judgement:
    event = f'{{"event":"unsupported","why":"{why}"}}'
    return judged(scenario, block(scenario, event, END, status=77))


def test_what_the_agent_cannot_ask_is_not_applicable_with_its_reason() -> None:
    found = unsupported("distribution", "no SO_REUSEPORT_LB in this system's headers")
    assert found.state is State.NOT_APPLICABLE
    assert found.why == "no SO_REUSEPORT_LB in this system's headers"


MIGRATING = "net.ipv4.tcp_migrate_req"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((f'{{"event":"fact","name":"{MIGRATING}","value":0}}',), "0 at the end"),
        ((f'{{"event":"fact","name":"{MIGRATING}","value":"absent"}}',), "absent at the end"),
        ((), "not read back"),
    ],
)
def test_a_tunable_that_did_not_stay_leaves_no_verdict(said: Sequence[str], why: str) -> None:
    asked = {"tunables": f"{MIGRATING}=1"}
    lines = answer(Kernel(), "distribution", asked).splitlines()
    lines = [line for line in lines if MIGRATING.encode() not in line or b"begin" in line]
    lines[-2:-2] = [line.encode() for line in said]
    (reply,) = parse(b"\n".join(lines) + b"\n", SCRIPTS)
    found = judge(CATALOGUE["distribution"], reply, Question("distribution", asked))
    assert (found.state, found.verdict) == (State.INCONCLUSIVE, None)
    expected = f"tunable changed under the measurement: {MIGRATING} was set to 1, {why}"
    assert found.why == expected


def test_a_tunable_that_stayed_as_it_was_set_takes_nothing_from_the_verdict() -> None:
    asked = {"tunables": f"{MIGRATING}=1"}
    (reply,) = parse(answer(Kernel(), "distribution", asked), SCRIPTS)
    found = judge(CATALOGUE["distribution"], reply, Question("distribution", asked))
    assert found.verdict == "balanced"


def test_an_option_without_a_macro_is_an_answer_to_sharing() -> None:
    found = unsupported("sharing", "no SO_REUSEPORT_LB in this system's headers")
    assert found.verdict == "undefined"
    found = unsupported("sharing", "datagrams leave no TIME_WAIT")
    assert found.state is State.NOT_APPLICABLE


def test_what_needs_root_says_where_that_is_to_be_had() -> None:
    found = unsupported("sharing", "needs root: only root can become another user")
    assert found.state is State.NOT_APPLICABLE
    assert found.why is not None
    assert found.why.startswith("needs root: only root can become another user; `root` in the")


def attempt(what: str, call: str | None = None, error: str | None = None) -> str:
    quoted = [f'"{word}"' if word else "null" for word in (call, error)]
    return f'{{"event":"attempt","what":"{what}","call":{quoted[0]},"error":{quoted[1]}}}'


def test_setsockopt_and_bind_are_refused_in_different_words() -> None:
    late = attempt("first", "setsockopt", "EINVAL")
    assert judged("sharing", block("sharing", late, END)).verdict == "unsupported:EINVAL"
    second = [attempt("first"), attempt("second", "setsockopt", "ENOPROTOOPT")]
    assert judged("sharing", block("sharing", *second, END)).verdict == "unsupported:ENOPROTOOPT"
    second = [attempt("first"), attempt("second", "bind", "EACCES")]
    assert judged("sharing", block("sharing", *second, END)).verdict == "refused:EACCES"
    found = judged("sharing", block("sharing", attempt("first", "bind", "EACCES"), END))
    assert found.state is State.INCONCLUSIVE


EXIT = b'{"event":"exit","id":"q","status":%d,"signal":%d}\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (block("distribution", signal=14), "the agent's own alarm ended it after 30 s"),
        (block("distribution", signal=9), "the agent was ended by signal 9 SIGKILL"),
        (block("distribution", signal=33), "the agent was ended by signal 33"),
        (block("distribution", status=99), "the agent's own set-up failed"),
        (EXIT % (64, 0), "the agent does not understand the question"),
        (EXIT % (77, 0), "the agent does not know distribution"),
        (block("distribution", END, status=3), "torn answer: 0 phases"),
        (block("distribution"), "torn answer: no end"),
        (block("distribution", END)[:-3], "torn answer: the last line is cut off"),
        (block("takeover", '{"event":"unsupported","why":"x"}', END, status=77), "was answered"),
    ],
)
def test_a_failure_of_ours_is_never_a_verdict(text: bytes, why: str) -> None:
    found = judged("distribution", text)
    assert found.state is State.INFRASTRUCTURE
    assert why in (found.why or "")


def test_an_answer_that_ended_with_a_strange_status_is_not_believed() -> None:
    trial = Trial(Kernel(), "distribution", ASKED)
    SIMULATED["distribution"].say(trial)
    (reply,) = parse(b"".join(trial.lines_of()), SCRIPTS)
    found = judge(CATALOGUE["distribution"], replace(reply, status=3), Question("distribution"))
    assert (found.state, found.why) == (State.INFRASTRUCTURE, "the agent ended with status 3")


def member(index: int, error: str | None = None) -> str:
    said = f'"call":"bind","error":"{error}"' if error else '"call":null,"error":null'
    rank = "null" if error else str(index)
    return f'{{"event":"member","index":{index},"bind":{rank},"listen":{rank},{said}}}'


def test_a_member_beyond_those_asked_for_is_one_more_socket() -> None:
    events = [*(member(index) for index in range(4)), member(4, "EADDRINUSE")]
    found = judged("bound-only", block("bound-only", *events, END))
    assert found.why == "one more socket was refused: bind EADDRINUSE"


def test_a_failure_that_the_kernel_does_not_let_happen_is_not_applicable() -> None:
    trial = Trial(Kernel(), "failure-established", ASKED)
    SIMULATED["failure-established"].say(trial)
    text = b"".join(trial.lines_of())
    text = text.replace(b'"at":50,"error":null', b'"at":50,"error":"ENOTCONN"')
    found = judged("failure-established", text)
    assert (found.state, found.why) == (
        State.NOT_APPLICABLE,
        "kill of listener 3 failed: ENOTCONN",
    )


FATES = st.one_of(
    st.integers(0, 5),
    st.sampled_from(["timeout", "open", "eof", "ECONNREFUSED", "ECONNRESET", "EPIPE", "E999"]),
    st.lists(st.integers(0, 5), min_size=2, max_size=3).map(tuple),
)


class Wild(Trial):
    """A trial whose fates come from a palette instead of from a kernel."""

    palette: tuple[Fate, ...] = (0,)

    def phase(self, name: str, ports: object, fates: Sequence[Fate], later: int = 0) -> list[Fate]:
        fixed = {"traffic": 16, "new": 16, "freed": 16, "inside": 16, "calm": 200}
        fixed |= {name: len(fates) for name in ("met", "own", "own-left")}
        count = fixed.get(name, self.flows)
        found = [self.random.choice(self.palette) for _ in range(count)]
        times = [self.random.choice((0, 3, 150, 260, 7000)) for _ in range(count)]
        numbers = {"ports": [9] * count, "started": times, "took": times[::-1]}
        self.say("flows", phase=name, fates=found, **numbers)
        return found


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(sorted(SIMULATED)),
    st.lists(FATES, min_size=1, max_size=5),
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from(["leave", "join", "restart"]),
    st.integers(1, 60),
    st.integers(0, 4000),
)
def test_any_whole_observation_has_exactly_one_judgement(
    scenario: str, palette: list[Fate], protocol: str, change: str, flows: int, gap: int
) -> None:
    listeners = SIMULATED[scenario].asked.get("listeners", "3")
    asked = {"protocol": protocol, "flows": str(flows), "listeners": listeners, "change": change}
    trial = Wild(Kernel(gap=gap), scenario, asked)
    trial.palette = tuple(fate for fate in palette if in_group(fate, int(listeners))) or (0,)
    SIMULATED[scenario].say(trial)
    (reply,) = parse(b"".join(trial.lines_of()), SCRIPTS)
    assert reply.torn is None, reply.torn
    found = judge(CATALOGUE[scenario], reply, Question(scenario, asked))
    assert found.state in (State.MEASURED, State.INCONCLUSIVE, State.NOT_APPLICABLE)
    if found.verdict is not None:
        assert found.verdict.split(":")[0] in CATALOGUE[scenario].words
    assert all(isinstance(count, int) for count in found.counts.values())
    assert all(isinstance(figure, float) for figure in found.statistics.values())


def in_group(fate: Fate, listeners: int) -> bool:
    served = [fate] if isinstance(fate, int) else fate if isinstance(fate, tuple) else []
    return all(index < listeners for index in served)


def test_connections_that_fell_back_to_tcp_say_nothing_of_mptcp() -> None:
    asked = {**ASKED, "protocol": "mptcp"}
    trial = Trial(Kernel(), "failure-queued", asked)
    SIMULATED["failure-queued"].say(trial)
    good = b"".join(trial.lines_of())
    (reply,) = parse(good, SCRIPTS)
    question = Question("failure-queued", asked)
    assert judge(CATALOGUE["failure-queued"], reply, question).verdict == "reset"
    trial.say("fact", name="fallbacks", value=3)
    (reply,) = parse(b"".join(trial.lines_of()), SCRIPTS)
    found = judge(CATALOGUE["failure-queued"], reply, question)
    assert (found.state, found.verdict) == (State.INCONCLUSIVE, None)
    assert found.why == "3 connections fell back from MPTCP to TCP"


def test_connections_that_fell_back_to_tcp_say_nothing_of_fast_open() -> None:
    asked = {**ASKED, "accept": "fast-open"}
    trial = Trial(Kernel(), "failure-queued", asked)
    SIMULATED["failure-queued"].say(trial)
    trial.say("fact", name="fallbacks", value=2)
    (reply,) = parse(b"".join(trial.lines_of()), SCRIPTS)
    found = judge(CATALOGUE["failure-queued"], reply, Question("failure-queued", asked))
    assert (found.state, found.verdict) == (State.INCONCLUSIVE, None)
    assert found.why == "2 connections fell back from TCP Fast Open to TCP"


def test_a_reply_without_its_exit_is_infrastructure() -> None:
    reply = Reply("q", None, "cut off", None, None, b"")
    found = judge(CATALOGUE["sharing"], reply, Question("sharing"))
    assert (found.state, found.why) == (State.INFRASTRUCTURE, "torn answer: cut off")
