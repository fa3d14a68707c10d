"""`restart`: a server that people run restarts under load; what do its clients lose?"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from harness.model import TUNABLES, Cell, Depth, Judgement
from harness.model.server import Server
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import DEPENDS, LOSSLESS, NOTICED, Sense
from harness.scenarios.statistics import highest_share
from harness.scenarios.tally import kind, measured, tally, unclear
from harness.scenarios.timeline import met, timeline, turnover
from harness.scenarios.tunables import MIGRATION
from harness.text import visible
from harness.wire.observation import Fate, Flows, Observation
from harness.wire.script import DueAttempt, DueChanges, DueFact, DueFlows, Script

ID = "restart"

START = "start"
"""The attempt to start the server; its error ends the answer."""

HEAVY = "heavy"
"""A stream of 80 % of what the server can serve there; a light one is of 20 %."""

FLOWS = {Depth.QUICK: 6000, Depth.FULL: 20_000}
"""New connections of the stream, at most. None lost of 20 000 is less than 0.015 % (95 %)."""

SPAN = {Depth.QUICK: 2, Depth.FULL: 20}
"""Seconds of the stream, at most, unless two restarts take longer: a slow server gets fewer
connections."""

ROUNDS = {Depth.QUICK: 3, Depth.FULL: 12}

GENERATIONS = 61
"""Configurations, the first included, that an answer may come from (docs/wire.md)."""

KEPT = 16
"""Connections that are kept and used again and again."""

DEADLINE_MS = 5000
"""An answer that has not come by then never comes, as far as a client is concerned."""

SLOW_MS = 200
"""A connection that takes longer to be answered is delayed, as in `drain`."""

DOWN_MS = 200
"""Nobody serves for this long: the server is down, and not only slow."""

EXPECTED = 20
"""Connections that have to fall into a stretch without any answer before it counts as down."""

WORST = ("lost", "refused", "reset", "closed", "failed")
"""Kinds of loss, the worst for a client first: it waits in vain, or it can try again at once."""

SAID = 800
"""Characters of what the server said; the recording has more."""

NUMBERS = ("rehearsal", "kept-closed", "leftover", "port-kept", "slipped")
"""Facts that an answer may have, and that are counts if they are numbers."""


def cells(_: Depth) -> tuple[Cell, ...]:
    """Return none: which servers are asked is the user's choice (`cells_of`)."""
    return ()


def cells_of(servers: Iterable[Server], depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of these servers: each way to restart, in the full form at both loads."""
    found = []
    for server in servers:
        for way in server.ways:
            axes = {"server": server.name, "restart": way}
            loads = server.traffic if depth is Depth.FULL else (HEAVY,)
            found += [Cell.at(ID, **axes, traffic=traffic) for traffic in loads]
            if depth is Depth.FULL and server.protocol != "dns-udp":
                more = {TUNABLES: f"{MIGRATION}=1"}
                found.append(Cell.at(ID, **axes, traffic=HEAVY, **more))
    return tuple(found)


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question: how many connections, over how many restarts."""
    return {
        **cell.axes,
        "flows": str(FLOWS[depth]),
        "span": str(SPAN[depth]),
        "rounds": str(ROUNDS[depth]),
        "kept": str(KEPT),
        "deadline": str(DEADLINE_MS),
    }


def script(_: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; a server that does not start ends it."""
    return Script(
        (
            DueAttempt(START, needed=True),
            DueFact("capacity"),
            DueFact("rate"),
            DueFlows("control", None),
            DueChanges(2, each="restarts"),
            DueFlows("restarts", None),
            DueFlows("kept", None),
            DueFact("restarts"),
            DueFact("generations"),
        ),
        generations=GENERATIONS,
    )


def _named(fates: Sequence[Fate]) -> Counter[str]:
    """Count the fates by the words of the verdicts; what is not answered in any way is lost."""
    kinds = (kind(fate) for fate in fates)
    return Counter(name if name in ("served", *WORST) else "lost" for name in kinds)


def _silence(stream: Flows) -> tuple[int, int]:
    """Return the longest time in which no answer came, and how many connections began in it."""
    ends = sorted(
        began + took
        for fate, began, took in zip(stream.fates, stream.started, stream.took, strict=True)
        if kind(fate) == "served"
    )
    longest, since, until = max(
        ((after - before, before, after) for before, after in pairwise(ends)), default=(0, 0, 0)
    )
    return longest, sum(since < began <= until for began in stream.started)


def _counts(seen: Observation, silence: int) -> Mapping[str, int]:
    stream, kept = seen.phase("restarts"), seen.phase("kept")
    found, old = _named(stream.fates), _named(kept.fates)
    served = zip(stream.fates, stream.took, strict=True)
    slow, restarts = SLOW_MS + seen.gap, tuple(met(seen, stream))
    return {
        "flows": len(stream.fates),
        "restarts": int(seen.facts["restarts"]),
        "capacity_per_s": int(seen.facts["capacity"]),
        "rate_per_s": int(seen.facts["rate"]),
        **{name: found[name] for name in WORST},
        "delayed": sum(kind(fate) == "served" and took > slow for fate, took in served),
        "slowest_ms": max(stream.took, default=0),
        "silent_ms": silence,
        **turnover(seen, restarts),
        "kept": len(kept.fates),
        **{f"kept_{name}": count for name, count in sorted(old.items()) if name != "served"},
        **{
            name.replace("-", "_"): value
            for name in NUMBERS
            if isinstance(value := seen.facts.get(name), int)
        },
        **timeline(restarts),
    }


def classify(seen: Observation) -> Judgement:
    """Name the worst that befell a new connection while the server restarted.

    The control is the same stream before the first restart: if that loses anything, it is not the
    restarts that lose it.
    """
    start = seen.attempt(START)
    if start is not None and start.error is not None:
        return unclear(_not_started(seen, start.call, start.error), {})
    silence, arrived = _silence(seen.phase("restarts"))
    counts = _counts(seen, silence)
    flows = counts["flows"]
    lost = sum(counts[name] for name in WORST)
    figures = {
        "lost_share": lost / flows if flows else 0.0,
        "most_lost_share": highest_share(lost, flows),
    }
    failed = seen.facts.get("failed")
    if failed is not None:
        return unclear(
            f"it could not be restarted: {visible(str(failed))}{_said(seen)}", counts, figures
        )
    if seen.facts.get("uncovered"):
        return unclear("a restart went on after the last connection", counts, figures)
    control = seen.phase("control")
    before = tally(control)
    if before.astray:
        why = f"before any restart: {before.astray} of {before.flows} connections were not served"
        return unclear(why, counts, figures)
    if not counts["restarts"]:
        return unclear("it was not restarted before the stream ended", counts, figures)
    if not flows - lost:
        return unclear("nobody was served while it restarted", counts, figures)
    if silence >= DOWN_MS + seen.gap and arrived >= EXPECTED:
        return measured(f"down:{silence}", counts, figures)
    return measured(_word(counts), counts, figures)


def _word(counts: Mapping[str, int]) -> str:
    for name in (*WORST, "delayed"):
        if counts[name]:
            return f"{name}:{counts[name]}/{counts['flows']}"
    return "lossless"


def _not_started(seen: Observation, call: str | None, error: str) -> str:
    what = {
        "ECHILD": "it ended when it was started",
        "ETIMEDOUT": "it did not answer in time",
        "EADDRINUSE": "its port was taken",
    }
    return f"the server does not serve: {what.get(error, f'{call} {error}')}{_said(seen)}"


def _said(seen: Observation) -> str:
    """Return the end of what the server itself said, in one line."""
    lines = [line.strip() for line in str(seen.facts.get("said", "")).splitlines()]
    said = "; ".join(line for line in lines if line)[-SAID:]
    return f"; it said: {visible(said)}" if said else ""


RESTART = Scenario(
    id=ID,
    subject="a server that restarts under load",
    sentence="A server that people run restarts under load: what do its clients lose?",
    done="{server} restarted under load: {restart}.",
    words={
        "lossless": Sense(
            LOSSLESS,
            "every new connection was answered",
            "this restart can be done at any time, at this load",
            told=(
                "None of {flows} new connections was lost in {restarts} restarts.",
                "The stream was {rate_per_s} a second, of {capacity_per_s} that it can serve.",
                "The slowest answer took {slowest_ms} ms.",
            ),
        ),
        "refused": Sense(
            NOTICED,
            "this many new connections were refused: nobody listened",
            "clients see an error, and can try again",
            do="Let the new one listen before the old one stops, or pass the socket on",
        ),
        "reset": Sense(
            NOTICED,
            "this many new connections were reset: they waited in a queue that was thrown away",
            "clients see an error after they have connected",
            do=(
                "Let one listener be inherited by all workers, set net.ipv4.tcp_migrate_req=1 on "
                "Linux (5.14), or let the old worker accept until its queue is empty"
            ),
            told=(
                (
                    "In {restarts} restarts under {flows} new connections, {reset} were reset, "
                    "at {rate_per_s} a second of {capacity_per_s} that it can serve."
                ),
            ),
        ),
        "closed": Sense(
            NOTICED,
            "this many new connections ended without an answer",
            "clients see an empty answer after they have sent a request",
            do="Let the old one answer what it has accepted before it ends",
        ),
        "failed": Sense(
            NOTICED,
            "this many new connections got an error for an answer",
            "clients are told that the server has failed",
            do="Let the old one serve until the new one is ready",
        ),
        "delayed": Sense(
            DEPENDS,
            "every new connection was answered, but this many took more than 200 ms",
            "nothing is lost, but somebody waits",
            told=("{delayed} of {flows} new connections waited, the longest for {slowest_ms} ms.",),
        ),
        "lost": Sense(
            NOTICED,
            "this many new connections got no answer at all",
            "clients wait until they give up",
            do="Close the listener only after its queue is empty",
        ),
        "down": Sense(
            NOTICED,
            "for this many ms nobody was answered",
            "the service is not there while it restarts",
            do="Let the new one start before the old one stops",
            told=(
                "Nobody was answered for {silent_ms} ms.",
                "{refused+} new connections were refused, of {flows}.",
                "{reset+} were reset.",
            ),
        ),
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=120.0,
    load=75,  # as much as `FULL`, but timed: no other scenario is asked beside it
    figure="lost_share",
)
