"""A guest's lines are parsed strictly; nothing raises, and no answer affects another."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from simulated_agent import SIMULATED, answer
from simulated_kernels import Kernel

from harness.scenarios import SCRIPTS
from harness.wire import replies as wire
from harness.wire.observation import Observation
from harness.wire.replies import Reply, check_echo, parse

ASKED = {"listeners": "4", "flows": "20", "deadline": "7000", "protocol": "tcp"}

GOOD = answer(Kernel(), "distribution", ASKED)

LINES = GOOD.splitlines(keepends=True)

BEGIN, MEMBER, FLOWS, END, EXIT = LINES[0], LINES[1], LINES[5], LINES[6], LINES[7]

AS_IT_WENT = ("during", "addresses", "spoke-1", "spoke-2")
"""Ends of the names of phases whose number of flows depends on how things went."""


def block(name: str = "q", scenario: str = "distribution") -> bytes:
    return answer(Kernel(), scenario, ASKED).replace(b'"id":"q"', f'"id":"{name}"'.encode())


RECORDED = sorted((Path(__file__).parent / "data").glob("*/*.jsonl"))

WHOLE = [
    *(answer(Kernel(), scenario, ASKED) for scenario in sorted(SIMULATED)),
    *(path.read_bytes() for path in RECORDED[::7]),
]


def torn(text: bytes) -> str:
    (reply,) = parse(text, SCRIPTS)
    assert reply.observation is None
    assert reply.raw == text
    return reply.torn or ""


def changed(line: bytes, **keys: object) -> bytes:
    """Return the block with keys changed in the line that begins alike; None removes a key."""
    event = {**json.loads(line), **keys}
    event = {name: value for name, value in event.items() if value != "absent"}
    return GOOD.replace(line, json.dumps(event).encode() + b"\n")


def test_a_whole_block_becomes_an_observation() -> None:
    (reply,) = parse(GOOD, SCRIPTS)
    assert (reply.id, reply.status, reply.signal, reply.torn) == ("q", 0, 0, None)
    seen = reply.observation
    assert seen is not None
    assert seen.begin.scenario == "distribution"
    assert [member.index for member in seen.members] == [0, 1, 2, 3]
    assert len(seen.phase("all").fates) == 20
    assert (seen.took, seen.gap, seen.unsupported) == (9000, 1, None)
    assert reply.raw == GOOD


@pytest.mark.parametrize("scenario", SIMULATED)
def test_every_scenario_of_the_contract_is_understood(scenario: str) -> None:
    (reply,) = parse(block(scenario=scenario), SCRIPTS)
    assert reply.torn is None


def test_nothing_said_is_no_reply() -> None:
    assert parse(b"", SCRIPTS) == ()


def test_datagrams_that_reach_several_members_are_a_list() -> None:
    fates = [[0, 1], *json.loads(FLOWS)["fates"][1:]]
    (reply,) = parse(changed(FLOWS, fates=fates), SCRIPTS)
    assert reply.observation is not None
    assert reply.observation.phase("all").fates[0] == (0, 1)


TORN = {
    "no exit line": (GOOD[: -len(EXIT)], "cut off"),
    "cut in a line": (GOOD[: len(GOOD) - len(EXIT) - 5], "the last line is cut off"),
    "cut in the exit line": (GOOD[:-4], "the last line is cut off"),
    "no line feed": (GOOD[:-1], "the last line is cut off"),
    "no end": (GOOD.replace(END, b""), "no end: it stopped half-way"),
    "no begin": (GOOD.replace(BEGIN, b""), "no begin"),
    "begin twice": (GOOD.replace(BEGIN, BEGIN * 2), "begin twice"),
    "end twice": (GOOD.replace(END, END * 2), "end is not the last event"),
    "events after end": (GOOD.replace(END, END + MEMBER), "end is not the last event"),
    "garbage before": (b"Welcome to the guest!\n" + GOOD, "not a line of the agent's language"),
    "garbage within": (GOOD.replace(FLOWS, b"\x00\n" + FLOWS), "not a line of the agent's"),
    "an empty line": (GOOD.replace(FLOWS, b"\n" + FLOWS), "not a line of the agent's language"),
    "not ASCII": (GOOD.replace(FLOWS, b"\xff\n" + FLOWS), "not ASCII"),
    "unknown key": (changed(END, more=1), "unknown field"),
    "missing key": (changed(END, gap="absent"), "gap"),
    "unknown event": (GOOD.replace(END, b'{"event":"party"}\n' + END), "party"),
    "exit alone": (EXIT, "no begin: it said nothing"),
    "wire version": (changed(BEGIN, wire=2), "wire version 2, 1 is spoken here"),
    "more members than there can be": (
        changed(BEGIN, parameters={**ASKED, "listeners": "9999999999"}),
        "parameter listeners is 9999999999, not 1 to 64",
    ),
    "no flow": (changed(BEGIN, parameters={**ASKED, "flows": "0"}), "flows is 0, not 1 to 20000"),
    "a long line that is no flows": (
        GOOD.replace(END, b'{"event":"unsupported","why":"%s"}\n' % (b"x" * (64 << 10)) + END),
        "not a line of the agent's language",
    ),
    "lines without number": (GOOD.replace(MEMBER, MEMBER * 5000), "more than 4096 lines"),
    "no scenario of ours": (changed(BEGIN, scenario="nonsense"), "no question of ours: nonsense"),
    "a number in words": (changed(BEGIN, parameters={"flows": "many"}), "flows is not a number"),
    "a string for a number": (changed(END, gap="1"), "Expected `int`"),
    "a fraction": (changed(END, gap=1.5), "Expected `int`"),
    "true for a number": (changed(END, gap=True), "Expected `int`"),
    "a negative number": (changed(END, gap=-1), ">= 0"),
    "a number beyond C": (changed(END, gap=2**31), "<= 2147483647"),
    "NaN": (GOOD.replace(b'"gap":1', b'"gap":NaN'), "not a line of the agent's language"),
    "a key twice": (GOOD.replace(b'"gap":1', b'"gap":1,"gap":1'), "the same key twice"),
    "a nesting bomb": (b"[" * 100_000 + b"\n" + GOOD, "not a line of the agent's language"),
    "a bomb in a value": (
        GOOD.replace(b'"gap":1', b'"gap":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        "not a line of the agent's language",
    ),
    "a member beyond the group": (changed(MEMBER, index=6), "member 6 of 4"),
    "a member too many": (GOOD.replace(FLOWS, MEMBER.replace(b":0", b":4") + FLOWS), "5 members"),
    "members out of order": (
        GOOD.replace(MEMBER + LINES[2], LINES[2] + MEMBER),
        "members [1, 0, 2, 3], [0, 1, 2, 3] belong to distribution",
    ),
    "a member twice": (GOOD.replace(MEMBER, MEMBER * 2), "member 0 twice"),
    "a member too few": (GOOD.replace(MEMBER, b""), "3 members, 4 belong to distribution"),
    "a call without errno": (changed(MEMBER, call="bind"), "a call without its errno"),
    "no errno name": (changed(MEMBER, call="bind", error="oops"), "not a line of the agent's"),
    "a phase twice": (GOOD.replace(FLOWS, FLOWS * 2), "phase all twice"),
    "a phase missing": (GOOD.replace(FLOWS, b""), "0 phases, 1 belong to distribution"),
    "a phase of another": (changed(FLOWS, phase="home"), "do not belong to distribution"),
    "a flow too few": (changed(FLOWS, fates=[0] * 19), "arrays of [19, 20] flows"),
    "flows too few": (
        changed(FLOWS, fates=[], ports=[], started=[], took=[]),
        "phase all has 0 flows, 20 were asked for",
    ),
    "a fate beyond the group": (changed(FLOWS, fates=[6] * 20), "member 6 of 4"),
    "a list of one": (changed(FLOWS, fates=[[1]] * 20), "length >= 2"),
    "an unknown fate": (changed(FLOWS, fates=["lost"] * 20), "not a line of the agent's"),
    "a port of no client": (changed(FLOWS, ports=[0] * 20), ">= 1"),
    "unsupported without its status": (
        GOOD.replace(END, b'{"event":"unsupported","why":"no"}\n' + END),
        "unsupported said 1 times, and exit status 0",
    ),
    "the status without its sentence": (changed(EXIT, status=77), "unsupported said 0 times"),
}


@pytest.mark.parametrize(("text", "why"), TORN.values(), ids=TORN)
def test_what_breaks_the_contract_is_torn_and_says_how(text: bytes, why: str) -> None:
    assert why in torn(text)


@pytest.mark.parametrize("name", sorted(TORN.keys() - {"no line feed"}))
def test_a_torn_block_spoils_no_other(name: str) -> None:
    (text, _), before, after = TORN[name], block("before"), block("after")
    replies = parse(before + (text if text.endswith(b"\n") else text + b"\n") + after, SCRIPTS)
    whole = [reply for reply in replies if reply.torn is None]
    assert [reply.raw for reply in whole] == [before, after]


def test_a_guests_text_cannot_steer_a_terminal_or_flood_a_sentence() -> None:
    why = torn(changed(BEGIN, scenario="x" * 60).replace(END, b'{"event":"\\u001b[2J"}\n' + END))
    assert "\x1b" not in why
    assert wire.visible("\x1b[2J\u202e") == "\\x1b[2J\\u202e"
    assert len(wire.visible("x" * 10_000)) == wire.QUOTED


def test_two_answers_to_one_question_are_both_torn() -> None:
    first, second, other = parse(GOOD + GOOD + block("other"), SCRIPTS)
    assert first.torn == second.torn == "one question, several answers"
    assert other.torn is None


def test_a_question_that_died_is_torn_and_its_signal_kept() -> None:
    exit_ = EXIT.replace(b'"signal":0', b'"signal":14')
    (reply,) = parse(BEGIN + MEMBER + exit_, SCRIPTS)
    assert (reply.signal, reply.observation) == (14, None)
    assert reply.torn == "no end: it stopped half-way"


def test_an_exit_of_another_question_closes_nothing_of_ours() -> None:
    ours, other = parse(GOOD[: -len(EXIT)] + EXIT.replace(b'"q"', b'"z"'), SCRIPTS)
    assert (ours.id, ours.torn) == (
        "q",
        "cut off: the batch did not say how the question's process ended",
    )
    assert (other.id, other.observation) == ("z", None)


def test_a_refused_member_may_end_the_script_early() -> None:
    (reply,) = parse(answer(Kernel(refused="EADDRINUSE"), "fallback", ASKED), SCRIPTS)
    assert reply.observation is not None
    refused = reply.observation.refusal()
    assert refused is not None
    assert (refused.call, refused.error) == ("bind", "EADDRINUSE")


def test_an_echo_has_to_be_the_question() -> None:
    (reply,) = parse(GOOD, SCRIPTS)
    assert check_echo(reply, "q", "distribution", ASKED) is None
    assert check_echo(reply, "r", "distribution", ASKED) == "question r was answered as q"
    why = check_echo(reply, "q", "takeover", ASKED)
    assert why == "takeover was asked, distribution was answered"
    why = check_echo(reply, "q", "distribution", ASKED | {"flows": "21"}) or ""
    assert "another question" in why
    assert "flows" in why


@pytest.mark.parametrize("at", [0, 1, 5])
def test_changes_of_a_drain_end_with_the_one_that_was_refused_and_no_other_way(at: int) -> None:
    asked = {**ASKED, "flows": "900", "rounds": "3"}
    whole = answer(Kernel(retiring="ENOTCONN", stays=at), "drain", asked)
    (reply,) = parse(whole, SCRIPTS)
    assert reply.torn is None
    (reply,) = parse(whole.replace(b'"ENOTCONN"', b"null"), SCRIPTS)
    assert (reply.torn is None) == (at == 5)
    said = answer(Kernel(), "drain", asked).splitlines(keepends=True)
    (reply,) = parse(b"".join(said[:6] + said[7:]), SCRIPTS)
    assert reply.torn == "5 changes, 6 belong to drain"


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise_and_all_are_kept(text: bytes) -> None:
    assert b"".join(reply.raw for reply in parse(text, SCRIPTS)) == text


@given(st.lists(st.sampled_from([*LINES, b"x\n", b"{}\n", b'{"event":"exit"}\n']), max_size=14))
def test_no_order_of_lines_makes_it_raise_or_believe_another_block(lines: list[bytes]) -> None:
    for reply in parse(b"".join(lines), SCRIPTS):
        if reply.torn is None:
            same_members = sorted(LINES[1:5])
            assert sorted(reply.raw.splitlines(keepends=True)[1:5]) == same_members
            assert len(reply.raw) == len(GOOD)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=0, max_size=3),
    st.integers(0, 3),
)
def test_a_mutation_is_torn_or_keeps_every_promise(
    good: bytes, where: float, more: bytes, fewer: int
) -> None:
    at = int(where * len(good))
    mutant = good[:at] + more + good[at + fewer :]
    whole = [reply for reply in parse(mutant, SCRIPTS) if reply.torn is None]
    assert len(whole) <= 1
    for reply in whole:
        assert reply.observation is not None
        promises(reply, reply.observation)


def asks_hundreds(seen: Observation) -> bool:
    return seen.begin.scenario in ("connected", "group-limit")


def promises(reply: Reply, seen: Observation) -> None:
    """Check the promises of docs/wire.md once more, on the observation."""
    asked = seen.begin.parameters
    members = ("sockets", "300") if asks_hundreds(seen) else ("listeners", "4")
    limit = int(asked.get(*members)) * (1 + (asked.get("change") == "replace")) + 2
    # What serves there is a configuration, and the stream goes on for as long as its restarts.
    is_stream = seen.begin.scenario == "restart"
    limit = 61 if is_stream else limit
    assert seen.begin.wire == 1
    assert reply.status in range(2**31)
    assert [member.index for member in seen.members if member.index >= limit] == []
    for flows in seen.flows:
        clients = dict.fromkeys(("met", "own", "own-left"), limit - 2 - seen.listeners)
        own = {
            **clients,
            "traffic": 16,
            "new": 16,
            "freed": 16,
            "inside": 16,
            "calm": 48 if "pace" in asked else 200,
        }
        expected = own.get(flows.phase, int(asked.get("flows", "400")))
        varies = is_stream or flows.phase.endswith(AS_IT_WENT)
        assert varies or len(flows.fates) == expected
        assert len(flows.fates) == len(flows.ports) == len(flows.took) == len(flows.started)
        for fate in flows.fates:
            served = [fate] if isinstance(fate, int) else fate if isinstance(fate, tuple) else []
            assert all(0 <= index < limit for index in served)


@settings(max_examples=60)
@given(st.data())
def test_a_line_taken_away_or_said_twice_is_never_believed(data: st.DataObject) -> None:
    scenario = data.draw(st.sampled_from(sorted(SIMULATED)))
    lines = answer(Kernel(), scenario, ASKED).splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    twice = data.draw(st.booleans())
    mutant = b"".join([*lines[:at], *([lines[at]] * 2 if twice else []), *lines[at + 1 :]])
    repeated_fact = twice and b'"event":"fact"' in lines[at]
    believed = [reply for reply in parse(mutant, SCRIPTS) if reply.torn is None]
    assert not believed or repeated_fact


def test_replies_are_plain_values() -> None:
    (reply,) = parse(GOOD, SCRIPTS)
    assert structs.replace(reply, torn="x").torn == "x"
