"""`takeover`: one listener serves a steady stream, and a newcomer joins it."""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.confirm import (
    addresses,
    by_order,
    confirming,
    follows_the_speaker,
    speakers,
    spoken_counts,
)
from harness.scenarios.grid import BOTH, GROUPING, Numbers, cross, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import DEPENDS, FACT, Sense
from harness.scenarios.statistics import one_taker_is_telling, p_uniform
from harness.scenarios.tally import STRAY, Tally, measured, server, tally, unclear
from harness.wire.observation import Observation
from harness.wire.script import DueChanges, DueFlows, Script, members

ID = "takeover"

OLD, NEWCOMER = 0, 1

QUICK = (
    "reuseport tcp ipv4 specific",
    "reuseport tcp ipv6 wildcard",
    "reuseport udp ipv4 wildcard",
    "reuseport udp ipv6 specific",
    "reuseport_lb tcp ipv4 wildcard",
)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; the old listener always retires by close()."""
    if depth is Depth.QUICK:
        return table(ID, (row(one, failure="close") for one in QUICK))
    return table(ID, cross(GROUPING, BOTH, failure=("close",)))


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; only TCP has connections that can be asked again."""
    kept = asked.get("protocol", "tcp") == "tcp"
    return Script(
        (
            *members([OLD]),
            DueFlows("before"),
            *members([NEWCOMER]),
            DueChanges(),
            DueFlows("during", None),
            DueFlows("after"),
            *addresses(asked),
            *speakers(asked),
            *([DueFlows("alive")] if kept else []),
            DueChanges(),
            DueFlows("retired"),
            *([DueFlows("alive-retired")] if kept else []),
        )
    )


def classify(seen: Observation) -> Judgement:
    """Name who serves the flows that began once the newcomer was ready; the counts give losses."""
    after = tally(seen.phase("after"))
    counts = {**after.counts("after_"), **_lost(seen), **spoken_counts(seen)}
    if (loss := after.loss()) is not None:
        return unclear(loss, counts)
    old, new = after.members.get(OLD, 0), after.members.get(NEWCOMER, 0)
    figures = {"newcomer_share": after.share(new), "p_uniform": p_uniform((old, new))}
    if follows_the_speaker(seen):
        return measured("last-sender", counts, figures)
    if min(old, new) > STRAY * after.flows:
        return measured("shared", counts, figures)
    if min(old, new) > 0 or not one_taker_is_telling(after.served, 2) or after.copied:
        why = f"{old} flows to the old listener, {new} to the newcomer, {after.copied} to both"
        return unclear(why, counts, figures)
    taker, word = (NEWCOMER, "newest-takes-all") if new else (OLD, "oldest-keeps")
    return by_order(seen, taker, (word, "shared"), counts=counts, figures=figures)


def _lost(seen: Observation) -> Mapping[str, int]:
    """Count new flows that were not served, and open connections that did not answer again."""
    lost = {
        f"lost_{name}": tally(seen.phase(name)).astray for name in ("during", "after", "retired")
    }
    lost["during"] = len(seen.phase("during").fates)
    lost["retired_newcomer"] = tally(seen.phase("retired")).members.get(NEWCOMER, 0)
    if seen.parameters.get("protocol", "tcp") == "udp":
        return lost
    before = seen.phase("before").fates
    for name in ("alive", "alive-retired"):
        pairs = zip(before, seen.phase(name).fates, strict=True)
        kept = [(was, now) for was, now in pairs if server(was) is not None]
        lost[f"{name}_lost".replace("-", "_")] = sum(was != now for was, now in kept)
    lost["established"] = Tally.of(before).served
    return lost


TAKEOVER = Scenario(
    id=ID,
    subject="new flows once a newcomer listens",
    sentence="A newcomer joins a listener under load: who serves from then on, and what is lost?",
    done="A listener served a steady stream, and a newcomer joined.",
    words={
        "newest-takes-all": Sense(
            FACT,
            "all new connections go to the newcomer",
            ("a restart works without passing descriptors. The counts say what was lost meanwhile"),
            do="Start the new one, let the old one finish",
            told=(
                ("The newcomer served all {after_flows} flows that began once it was ready."),
                "{lost_during/during} flows that began while it joined were lost.",
            ),
        ),
        "shared": Sense(
            FACT,
            "both are served",
            "old and new version answer side by side until the old one stops",
            do="Retire the old one as drain says",
            told=(
                (
                    "Afterwards the old listener served {after_member_0} flows and the "
                    "newcomer {after_member_1}."
                ),
                "{lost_during/during} flows that began while it joined were lost.",
            ),
        ),
        "oldest-keeps": Sense(
            FACT,
            "the newcomer gets nothing until the old one leaves",
            "starting the new one first tests nothing",
            told=(
                "The old listener served all {after_flows} flows, the newcomer none.",
                "{lost_during/during} flows that began while it joined were lost.",
            ),
        ),
        "one": Sense(
            DEPENDS,
            (
                "one of them gets all, and more client addresses could not be added (the "
                "errno says why): nobody knows whether an order or the address decides"
            ),
            "nobody can rely on which one serves",
            do="Run the agent as root to learn more",
        ),
        "last-sender": Sense(
            DEPENDS,
            "datagrams go to the one that sent last",
            "the old one wins as long as it replies to something",
            do="Stop it from sending before the new one starts",
        ),
    },
    cells=cells,
    parameters=confirming(Numbers(120, 400, listeners=2)),
    script=script,
    classify=classify,
    alarm=60.0,
)
