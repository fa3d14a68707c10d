"""Edge cases of the classifiers: a few flows go astray, or the flows fit no verdict."""

import json
from collections.abc import Callable, Sequence

import pytest
import simulated_kernels as kernels
from simulated_agent import SIMULATED, answer
from simulated_kernels import Kernel

from harness.judge import conclude
from harness.model import Judgement, State
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.observation import Fate
from harness.wire.replies import parse

Edit = Callable[[list[Fate]], Sequence[Fate]]
Choice = Callable[[int, int, kernels.Group], Fate]


def edited(kernel: Kernel, scenario: str, phase: str, edit: Edit, **parameters: str) -> Judgement:
    """Judge a simulated kernel's answer with the fates of one phase changed."""
    asked = {"flows": "400", "deadline": "7000", **parameters}
    lines = []
    for line in answer(kernel, scenario, asked).splitlines():
        event = json.loads(line)
        if event.get("phase") == phase:
            event["fates"] = edit(event["fates"])
        lines.append(json.dumps(event).encode() + b"\n")
    (reply,) = parse(b"".join(lines), SCRIPTS)
    assert reply.observation is not None, reply.torn
    return conclude(CATALOGUE[scenario], reply.observation)


def first(count: int, fate: Fate) -> Edit:
    """Give the first flows another fate."""
    return lambda fates: [fate] * count + fates[count:]


def unclear(judgement: Judgement, why: str) -> bool:
    return judgement.state is State.INCONCLUSIVE and why in (judgement.why or "")


@pytest.mark.parametrize(
    ("count", "verdict"), [(0, "newest-takes-all"), (4, None), (5, "shared"), (396, None)]
)
def test_a_flow_or_two_to_the_old_listener_is_no_sharing(count: int, verdict: str | None) -> None:
    found = edited(Kernel(kernels.newest), "takeover", "after", first(count, 0), listeners="2")
    assert found.verdict == verdict


@pytest.mark.parametrize("phase", ["alive", "alive-retired"])
def test_a_takeover_counts_the_connections_that_did_not_live(phase: str) -> None:
    found = edited(Kernel(), "takeover", phase, first(7, "ECONNRESET"), listeners="2")
    assert found.counts[f"{phase}_lost".replace("-", "_")] == 7
    assert found.counts["established"] == 400


@pytest.mark.parametrize("phase", ["during", "retired"])
def test_a_takeover_counts_new_connections_that_were_lost(phase: str) -> None:
    found = edited(Kernel(), "takeover", phase, first(3, "ECONNREFUSED"), listeners="2")
    assert (found.verdict, found.counts[f"lost_{phase}"]) == ("shared", 3)


def test_a_last_listener_that_loses_connections_fits_no_rule() -> None:
    found = edited(Kernel(), "fallback", "left-3", first(90, "ECONNRESET"))
    assert unclear(found, "after leave 3: lossy")


def test_a_listener_that_serves_after_it_left_fits_no_rule() -> None:
    found = edited(Kernel(), "fallback", "left-1", first(9, 3))
    assert unclear(found, "served by listener 4, which was not to serve")


def test_rules_that_change_between_leaves_are_named_one_by_one() -> None:
    found = edited(Kernel(), "fallback", "left-2", first(400, 0))
    assert unclear(found, "after leave 1: rebalanced; after leave 2: next; after leave 3: next/")


def test_a_few_copies_are_neither_copied_nor_one() -> None:
    found = edited(Kernel(), "distribution", "all", first(60, (0, 1)), protocol="udp")
    assert unclear(found, "60 of 400 datagrams reached several members")


def test_a_reply_that_comes_twice_from_one_member_is_no_copy() -> None:
    found = edited(Kernel(kernels.newest), "distribution", "all", first(60, (3, 3)), protocol="udp")
    assert found.verdict == "newest"


def test_the_last_refusals_of_a_bystander_are_too_few_for_a_share() -> None:
    assert unclear(edited(Kernel(), "bound-only", "all", first(2, "ECONNREFUSED")), "no one fate")
    mixed = edited(Kernel(bystander="timeout"), "bound-only", "all", first(40, "ECONNREFUSED"))
    assert unclear(mixed, "no one fate")


@pytest.mark.parametrize(("count", "verdict"), [(0, "specific"), (4, None), (5, "both:0.99")])
def test_a_flow_or_two_to_the_other_side_is_no_precedence(count: int, verdict: str | None) -> None:
    kernel = Kernel(preferred=0)
    assert edited(kernel, "precedence", "all", first(count, 3)).verdict == verdict


def test_a_system_that_is_out_of_sockets_has_shown_no_limit_of_a_group() -> None:
    asked = {"flows": "4000", "deadline": "7000", "sockets": "300"}
    said = answer(Kernel(limit=256, refused="ENFILE"), "group-limit", asked)
    (reply,) = parse(said.replace(b'"call":"bind"', b'"call":"socket"'), SCRIPTS)
    assert reply.observation is not None
    found = conclude(CATALOGUE["group-limit"], reply.observation)
    assert unclear(found, "no socket for member 257: ENFILE")


def test_a_connection_answered_by_another_is_not_unaffected() -> None:
    def elsewhere(fates: list[Fate]) -> list[Fate]:
        return [1 if fate == 0 else fate for fate in fates]

    found = edited(Kernel(), "failure-established", "after", elsewhere)
    assert unclear(found, "another listener than its own")


def test_connections_that_were_never_made_spoil_the_count_of_those_that_live() -> None:
    found = edited(Kernel(), "failure-established", "before", first(30, "timeout"))
    assert unclear(found, "lossy: 30 of 400")


def test_a_queue_of_two_fates_has_none() -> None:
    def half(fates: list[Fate]) -> list[Fate]:
        return ["eof" if fate == "ECONNRESET" and i % 2 else fate for i, fate in enumerate(fates)]

    assert unclear(edited(Kernel(), "failure-queued", "fates", half), "no one fate")


def next_member(count: int) -> Edit:
    """Give the first flows to the member after their own, of four."""
    return lambda fates: [*((fate + 1) % 4 for fate in map(int_of, fates[:count])), *fates[count:]]


def int_of(fate: Fate) -> int:
    assert isinstance(fate, int)
    return fate


@pytest.mark.parametrize(
    ("moved", "verdict"), [(0, "same"), (20, "same"), (400, "partly"), (1408, None)]
)
def test_how_many_keep_their_listener_at_another_port(moved: int, verdict: str | None) -> None:
    asked = {"flows": "2000", "peer": "tun"}
    found = edited(Kernel(), "server-port", "elsewhere", next_member(moved), **asked)
    assert found.verdict == verdict
    assert found.counts == {"flows": 2000, "compared": 2000, "same": 2000 - moved}
    assert found.statistics["by_chance"] == pytest.approx(0.25, abs=0.01)


def test_handshakes_of_two_fates_have_none() -> None:
    kernel = Kernel(kernels.newest)
    found = edited(kernel, "failure-handshake", "fates", first(100, "timeout"))
    assert unclear(found, "share no one fate")
    assert (found.counts["victim_ignored"], found.counts["victim_reset"]) == (100, 300)


def test_survivors_that_complete_no_handshake_make_the_others_fate_worthless() -> None:
    found = edited(Kernel(), "failure-handshake", "fates", first(400, "timeout"))
    assert unclear(found, "nothing to compare with")


def test_handshakes_of_a_mapping_that_does_not_hold_are_not_judged() -> None:
    turns = Kernel(kernels.turns)
    found = edited(turns, "failure-handshake", "fates", first(0, 0), flows="398")
    assert unclear(found, "nothing to compare with")


def test_a_kernel_that_does_not_repeat_its_answer_is_not_judged() -> None:
    silent = first(400, "timeout")
    found = edited(Kernel(), "failure-handshake", "held", silent, ack="after-repeat")
    assert unclear(found, "did not send its SYN-ACK again")


def test_counts_alone_have_to_be_about_the_victims_share() -> None:
    turns = Kernel(kernels.turns)

    def few(fates: list[Fate]) -> list[Fate]:
        lost = [i for i, fate in enumerate(fates) if fate == "ECONNRESET"][10:]
        return [0 if i in lost else fate for i, fate in enumerate(fates)]

    found = edited(turns, "failure-queued", "fates", few, flows="398")
    assert unclear(found, "the counts alone do not tell")


def test_what_was_never_queued_is_no_part_of_the_queues_fate() -> None:
    found = edited(Kernel(), "last-gone", "queued", first(100, "timeout"), listeners="1")
    assert (found.counts["queued"], found.counts["queue_reset"]) == (300, 300)
    found = edited(Kernel(), "failure-queued", "queued", first(100, "timeout"))
    assert (found.counts["queued"], found.counts["not_queued"]) == (300, 100)


@pytest.mark.parametrize(("count", "verdict"), [(2, "served"), (9, None)])
def test_flows_lost_before_a_failure_are_not_its_doing(count: int, verdict: str | None) -> None:
    found = edited(Kernel(), "failure-arrivals", "stream", first(count, "timeout"))
    assert found.verdict == verdict


def test_a_few_flows_that_go_astray_long_after_a_failure_may_be_chance() -> None:
    def last(count: int) -> Edit:
        return lambda fates: fates[:-count] + ["timeout"] * count

    asked = {"pace": "measured"}
    assert edited(Kernel(), "failure-arrivals", "stream", last(3), **asked).verdict == "served"
    found = edited(Kernel(), "failure-arrivals", "stream", last(5), **asked)
    assert unclear(found, "which may be chance")
    found = edited(Kernel(), "failure-arrivals", "stream", last(12), **asked)
    assert found.verdict == "delayed:12/203"


def test_a_worker_that_served_nobody_shows_nothing_when_it_fails() -> None:
    def others(fates: list[Fate]) -> list[Fate]:
        return [1 if fate == 2 else fate for fate in fates]

    found = edited(Kernel(), "failure-arrivals", "stream", others, pace="measured")
    assert unclear(found, "had served nobody before")


@pytest.mark.parametrize(
    ("resets", "failure", "verdict"),
    [
        (1, "kill", "served"),
        (1, "exit", "served"),
        (2, "kill", "reset:2/"),
        (1, "close", "reset:1/"),
    ],
)
def test_what_a_worker_was_serving_when_it_ended_is_not_its_listeners(
    resets: int, failure: str, verdict: str
) -> None:
    """It may or may not serve one when it ends: with tcp_migrate_req=1 it did 8 times of 12."""
    found = edited(Kernel(drops=resets), "failure-arrivals", "stream", list, failure=failure)
    assert (found.verdict or "").startswith(verdict)
    assert found.counts["reset"] == resets


def test_a_flow_lost_before_anybody_retired_spoils_the_stream() -> None:
    asked = {"flows": "4000", "rounds": "30"}
    found = edited(Kernel(), "drain", "stream", first(2, "ECONNRESET"), **asked)
    assert unclear(found, "2 flows were lost before anybody retired")


def test_a_flow_that_waits_for_a_member_as_it_retires_is_that_retirements() -> None:
    """Flows begin every ms, 4000 in all. The first step is ordered after the 65th, still open."""
    asked = {"flows": "4000", "rounds": "30"}
    lines = answer(Kernel(drops=1), "drain", asked).splitlines(keepends=True)
    stream = next(k for k, line in enumerate(lines) if b'"stream"' in line)
    said = json.loads(lines[stream])
    said["fates"][64], said["took"][64] = "ECONNRESET", 1
    lines[stream] = json.dumps(said).encode() + b"\n"
    (reply,) = parse(b"".join(lines), SCRIPTS)
    assert reply.observation is not None
    assert conclude(CATALOGUE["drain"], reply.observation).verdict == "lost:2/4000"


@pytest.mark.parametrize(("took", "delayed"), [(201, 0), (202, 1)])
def test_a_connection_that_waits_for_a_retransmission_is_delayed_not_lost(
    took: int, delayed: int
) -> None:
    asked = {"flows": "4000", "rounds": "30", "deadline": "7000"}
    said = answer(Kernel(gap=1), "drain", asked).replace(b'"took":[3,', b'"took":[%d,' % took)
    (reply,) = parse(said, SCRIPTS)
    assert reply.observation is not None
    found = conclude(CATALOGUE["drain"], reply.observation)
    assert (found.verdict, found.counts["delayed"]) == ("lossless", delayed)
    assert found.counts["slowest_ms"] == took


@pytest.mark.parametrize(("moved", "verdict"), [(2, "minimal"), (40, "reshuffled")])
def test_a_few_flows_that_move_do_not_reshuffle(moved: int, verdict: str) -> None:
    def swapped(fates: list[Fate]) -> list[Fate]:
        return [0 if fate == 1 and i < moved * 4 else fate for i, fate in enumerate(fates)]

    found = edited(Kernel(kernels.rendezvous), "failure-flows", "after", swapped)
    assert found.verdict == verdict


@pytest.mark.parametrize("firewall", [kernels.silenced, kernels.rejected])
@pytest.mark.parametrize("scenario", CATALOGUE)
def test_behind_a_firewall_nothing_is_said_of_the_kernel(scenario: str, firewall: Choice) -> None:
    fate = firewall(1, 0, [0])
    found = edited(
        Kernel(firewall, new=fate),
        scenario,
        "queued",
        lambda fates: [fate] * len(fates),
        **SIMULATED[scenario].asked,
    )
    assert found.state is State.INCONCLUSIVE, found


def test_a_refused_first_socket_is_no_answer_about_two() -> None:
    said = answer(Kernel(refused="EADDRINUSE"), "precedence", {"listeners": "2", "flows": "9"})
    lines = said.splitlines(keepends=True)
    assert b'"index": 1' in lines[1] or b'"index":1' in lines[1]
    refused = lines[2].replace(b'"index":0', b'"index":1').replace(b'"index": 0', b'"index": 1')
    (reply,) = parse(b"".join([lines[0], refused, *lines[3:]]), SCRIPTS)
    assert reply.observation is not None, reply.torn
    found = conclude(CATALOGUE["precedence"], reply.observation)
    assert found.state is State.NOT_APPLICABLE
    assert found.why == "listener 2 of 2 was refused: bind EADDRINUSE"
