"""Handshakes in rounds: what a control, an age and a count of resets make of the verdict."""

import json
from collections.abc import Callable

import pytest
from simulated_agent import answer
from simulated_kernels import HEIR, Kernel, newest, walked

from harness.judge import conclude
from harness.model import Judgement, State
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.scenarios.handshake_rounds import LATE_MS
from harness.wire.replies import parse

Line = dict[str, object]
Edit = Callable[[Line], Line]

HANDSHAKES = "failure-handshake"


def judged(kernel: Kernel, *edits: Edit, **parameters: str) -> Judgement:
    """Judge a simulated kernel's answer in rounds of 24, with its lines edited one by one."""
    asked = {"flows": "96", "deadline": "7000", "round": "24", **parameters}
    lines = []
    for text in answer(kernel, HANDSHAKES, asked).splitlines():
        line = json.loads(text)
        for edit in edits:
            line = edit(line)
        lines.append(json.dumps(line).encode() + b"\n")
    (reply,) = parse(b"".join(lines), SCRIPTS)
    assert reply.observation is not None, reply.torn
    return conclude(CATALOGUE[HANDSHAKES], reply.observation)


def fates(phase: str, fate: str, count: int, *, instead_of: str | int | None = None) -> Edit:
    """Give flows of a phase another fate: the first, or the first that have a certain one."""

    def edit(line: Line) -> Line:
        found = line.get("fates")
        if line.get("phase") != phase or not isinstance(found, list):
            return line
        chosen = [i for i, now in enumerate(found) if instead_of in (None, now)][:count]
        return {**line, "fates": [fate if i in chosen else now for i, now in enumerate(found)]}

    return edit


def later(phase: str, ms: int, count: int) -> Edit:
    """Let the first flows of a phase begin later."""

    def edit(line: Line) -> Line:
        found = line.get("started")
        if line.get("phase") != phase or not isinstance(found, list):
            return line
        return {**line, "started": [at + ms * (i < count) for i, at in enumerate(found)]}

    return edit


def why(judgement: Judgement) -> str:
    assert judgement.state is State.INCONCLUSIVE, judgement
    return judgement.why or ""


def test_the_share_of_a_collapse_depends_on_who_leaves() -> None:
    """As Linux 4.3 was seen to do: half, nine of ten, none, and nearly all if one joins."""
    shares = {}
    for name, asked in {
        "middle": {},
        "last": {"member": "last"},
        "first": {"member": "first"},
        "join": {"change": "join"},
    }.items():
        counts = judged(Kernel(walked, searches=True), flows="4000", **asked).counts
        shares[name] = counts["survivors_reset"] / counts["survivors_total"]
    assert shares["middle"] == pytest.approx(0.58, abs=0.05)
    assert shares["last"] == pytest.approx(0.90, abs=0.03)
    assert shares["join"] == pytest.approx(0.96, abs=0.02)
    assert shares["first"] == 0


@pytest.mark.parametrize(("count", "verdict"), [(0, "reset"), (3, "reset"), (8, "collapsed:8/72")])
def test_a_few_resets_are_no_collapse(count: int, verdict: str) -> None:
    assert judged(Kernel(), fates("fates", "ECONNRESET", count, instead_of=0)).verdict == verdict


def test_resets_that_may_be_chance_are_no_verdict() -> None:
    found = judged(Kernel(), fates("fates", "ECONNRESET", 7, instead_of=0))
    assert why(found) == "7 of 72 survivors' handshakes were lost, few of them reset"


def test_what_is_lost_otherwise_is_no_collapse() -> None:
    found = judged(Kernel(), fates("fates", "timeout", 30, instead_of=0))
    assert "survivors' handshakes were lost, few of them reset" in why(found)


@pytest.mark.parametrize("fate", ["ECONNRESET", "timeout"])
def test_a_guest_that_loses_handshakes_while_nobody_fails_gets_no_verdict(fate: str) -> None:
    found = judged(Kernel(walked, searches=True), fates("control", fate, 6))
    assert why(found) == "lossy: 6 of 96 handshakes were lost while nobody failed"


def test_resets_of_the_control_raise_what_counts_as_a_collapse() -> None:
    more = fates("fates", "ECONNRESET", 8, instead_of=0)
    assert (judged(Kernel(), more).verdict or "").startswith("collapsed")
    assert "few of them reset" in why(judged(Kernel(), more, fates("control", "ECONNRESET", 4)))


def test_an_ack_that_comes_late_counts_for_nothing() -> None:
    late = (later("fates", LATE_MS, 40), fates("fates", "timeout", 40))
    found = judged(Kernel(half_open=HEIR), *late)
    assert found.verdict == "completed"
    assert (found.counts["late"], found.counts["held"]) == (40, 56)
    assert "too slow: 60 of 96 ACKs" in why(judged(Kernel(), later("fates", LATE_MS, 60)))


def test_a_control_that_was_held_longer_and_completed_is_a_control() -> None:
    found = judged(Kernel(), later("control", LATE_MS, 60))
    assert (found.verdict, found.counts["control_total"]) == ("reset", 96)
    lost = (later("control", LATE_MS, 60), fates("control", "timeout", 60))
    assert "too slow: 60 of 96 ACKs" in why(judged(Kernel(), *lost))


def test_a_syn_ack_that_never_comes_again_gives_no_verdict() -> None:
    found = judged(Kernel(), fates("control-repeated", "timeout", 96), ack="after-repeat")
    assert why(found) == "the kernel did not send its SYN-ACK again in time"


def test_age_is_no_obstacle_where_it_is_asked_about() -> None:
    assert judged(Kernel(), later("fates", 4000, 96), ack="after-repeat").verdict == "reset"


def test_a_handshake_that_was_not_held_has_no_part_in_it() -> None:
    found = judged(Kernel(), fates("held", "timeout", 10), fates("fates", "timeout", 10))
    assert (found.verdict, found.counts["not_held"]) == ("reset", 10)
    assert "no handshake was held" in why(judged(Kernel(), fates("held", "timeout", 96)))
    nobody = judged(Kernel(), fates("held", "timeout", 96), change="join")
    assert why(nobody) == "no handshake was held when another listener came"


def test_who_joins_may_complete_what_it_did_not_begin() -> None:
    """NetBSD looks up the listener when the ACK comes, and finds the newest."""
    moved = Kernel(newest, looks_up=True)
    assert judged(moved, change="join").verdict == "completed"
    assert judged(Kernel(), change="join").verdict == "kept"


def test_a_member_that_cannot_come_back_is_no_verdict() -> None:
    def refused(line: Line) -> Line:
        return {**line, "call": "bind", "error": "EADDRINUSE"} if "what" in line else line

    asked = {"flows": "96", "round": "24", "deadline": "7000"}
    lines = [json.loads(text) for text in answer(Kernel(), HANDSHAKES, asked).splitlines()]
    said = [refused(line) for line in lines if line["event"] not in ("flows", "change", "fact")]
    text = b"".join(json.dumps(line).encode() + b"\n" for line in said)
    (reply,) = parse(text, SCRIPTS)
    assert reply.observation is not None, reply.torn
    found = conclude(CATALOGUE[HANDSHAKES], reply.observation)
    assert why(found) == "a member could not come back: bind EADDRINUSE"
