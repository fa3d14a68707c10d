"""`failure-queued`: one worker fails with connections in its accept queue."""

from collections.abc import Iterator, Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import FAILURES, SHARING, Numbers, Row, cross, multipath, row, table
from harness.scenarios.homes import Homes
from harness.scenarios.scenario import NO_SHUTDOWN, STAYS, Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, OTHERS_SERVED, Sense
from harness.scenarios.tally import kind, measured, prevailing, server, unclear
from harness.scenarios.tunables import FAST_OPEN, MIGRATION, SPREADING, SWITCH, at_each
from harness.wire.observation import Fate, Observation
from harness.wire.script import DueChanges, DueFlows, members_then

ID = "failure-queued"

QUICK = (
    "reuseport tcp ipv4 specific kill",
    "reuseport tcp ipv4 wildcard close",
    "reuseport tcp ipv6 wildcard kill",
    "reuseport_lb tcp ipv4 specific kill",
)

SET = ("reuseport tcp ipv4 specific kill",)

SET_FULL = (*SET, "reuseport tcp ipv4 wildcard close", "reuseport tcp ipv6 wildcard exit")
"""Rows that are asked at each value of a tunable: the worker is killed, closes, or exits."""

MULTIPATH = tuple(
    multipath("reuseport mptcp ipv4 specific kill", "reuseport mptcp ipv6 wildcard close")
)
"""Rows that are asked as the system is, and with `MIGRATION` off and on."""

FITS = 120
"""Flows. One listener may get them all, and NetBSD and DragonFly have 129 places in a queue. What
does not fit waits for seconds and says nothing."""

WORDS = {"reset": "reset", "served": "inherited", "closed": "closed", "stranded": "stranded"}


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario at the given depth."""
    quick = depth is Depth.QUICK
    rows = map(row, QUICK) if quick else cross(SHARING, ("tcp",), failure=FAILURES)
    switched = [row(one) for one in (SET if quick else SET_FULL)]
    paths = () if quick else MULTIPATH
    migration = at_each(MIGRATION, SWITCH, (*switched, *paths))
    spreading = at_each(SPREADING["tcp"], SWITCH, switched)
    return table(ID, [*rows, *paths, *([] if quick else _data_first()), *migration, *spreading])


def _data_first() -> Iterator[Row]:
    """Yield rows whose listeners wait for the first data, or take it from the SYN.

    Listeners need Linux's tunable for the latter, and a question can set only one: MIGRATION is as
    the guest has it.
    """
    silent = [row(f"{option} tcp ipv4 specific kill", accept="with-data") for option in SHARING]
    yield from (*silent, *at_each(MIGRATION, ("1",), silent[:1]))
    early = row("reuseport tcp ipv4 specific kill", accept="fast-open")
    yield from (early, *at_each(FAST_OPEN, ("3",), [early]))


def _named(fate: Fate) -> str:
    return "inherited" if server(fate) is not None else kind(fate)


def classify(seen: Observation) -> Judgement:
    """Name what happened to nearly all connections in the failed listener's queue."""
    # Only an open flow, which no worker had accepted, was in a queue when the worker failed.
    queued = [fate == "open" for fate in seen.phase("queued").fates]
    fates = [
        fate if was else None for fate, was in zip(seen.phase("fates").fates, queued, strict=True)
    ]
    victim = seen.changes[0].member
    homes = Homes.of(seen.phase("home").fates, fates, victim)
    held = {"queued": sum(queued), "not_queued": len(queued) - sum(queued)}
    counts = {**held, **homes.counts(_named, "inherited")}
    figures = {"home_kept_share": homes.kept, "by_counts_only": float(not homes.hold)}
    if homes.loss is not None:
        return unclear(homes.loss, counts, figures)
    if not homes.hold:
        return _by_counts(homes, counts, figures)
    if not homes.victim:
        return unclear(f"nothing was queued at listener {victim + 1}, which failed", counts)
    if any(server(fate) == victim for fate in homes.victim):
        return unclear(f"listener {victim + 1} served though it had failed", counts, figures)
    word = WORDS.get(prevailing(map(kind, homes.victim)) or "")
    if word is None:
        return unclear("its queued connections share no one fate", counts, figures)
    return measured(word, counts, figures)


def _by_counts(homes: Homes, counts: Mapping[str, int], figures: Mapping[str, float]) -> Judgement:
    """Judge by numbers alone, because the 4-tuple does not tell which queue a flow was in.

    Survivors serve all their own connections. So the ones that were not served belong to the failed
    listener, if their number is about its share. If all were served, siblings inherited them.
    """
    lost = [kind(fate) for fate in homes.all if server(fate) is None]
    why = "the mapping is not a function of the 4-tuple, and the counts alone do not tell"
    if not homes.expected or not homes.all:
        return unclear(why, counts, figures)
    if not lost:
        return measured("inherited", counts, figures)
    word = WORDS.get(prevailing(lost) or "")
    if word is None or not homes.plausible(len(lost)):
        return unclear(why, counts, figures)
    return measured(word, counts, figures)


FAILURE_QUEUED = Scenario(
    id=ID,
    subject="queued connections",
    sentence="A worker fails with connections in its accept queue: what happens to them?",
    done="{failure} with {victim_total+} connections waiting in its queue.",
    words={
        "reset": Sense(
            NOTICED,
            "clients get a reset",
            ("every reload that closes a listener with a non-empty accept queue shows errors"),
            do=(
                "Drain first, pass the descriptor, or set net.ipv4.tcp_migrate_req=1 (Linux ≥ 5.14)"
            ),
            told=(
                "{victim_reset/victim_total} were reset.",
                OTHERS_SERVED,
            ),
        ),
        "inherited": Sense(
            LOSSLESS,
            "a sibling accepts them",
            "nothing is lost while a sibling lives",
            told=(
                "Siblings accepted {victim_inherited/victim_total}.",
                OTHERS_SERVED,
            ),
        ),
        "closed": Sense(
            NOTICED,
            "clients see an orderly end without an answer",
            "clients that retry on an empty answer are fine, others show an error",
            do="Drain first, or pass the descriptor",
            told=(
                "{victim_closed/victim_total} ended without an answer.",
                OTHERS_SERVED,
            ),
        ),
        "stranded": Sense(
            NOTICED,
            "nothing, until the client times out",
            (
                "the worst for people: they wait. A stopped (not dead) worker does this on "
                "any kernel"
            ),
            do="Check health per worker",
            told=(
                (
                    "{victim_stranded/victim_total} waited without an answer until the client "
                    "gave up."
                ),
                OTHERS_SERVED,
            ),
        ),
        NO_SHUTDOWN: STAYS,
    },
    cells=cells,
    parameters=Numbers(FITS, FITS),
    script=members_then(DueFlows("home"), DueFlows("queued"), DueChanges(), DueFlows("fates")),
    classify=classify,
    alarm=40.0,
    load=0,
)
