"""`orphans`: a worker has gone, but something else still holds its listener."""

from collections.abc import Mapping

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, SHARING, Numbers, cross, row, table
from harness.scenarios.homes import Homes
from harness.scenarios.scenario import NO_SHUTDOWN, STAYS, Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, OTHERS_SERVED, Sense
from harness.scenarios.tally import STRAY, kind, measured, prevailing, server, tally, unclear
from harness.scenarios.tunables import MIGRATION, SWITCH, at_each
from harness.wire.observation import Fate, Flows, Observation
from harness.wire.script import FEW, DueChanges, DueFlows, Script, Step, members_then

ID = "orphans"

HOLDERS = ("child", "ring")
"""What holds the listener: a child that inherited the descriptor by fork(), or an io_uring whose
accept is still armed when the worker calls close()."""

KILLED = row("reuseport tcp ipv4 specific kill", holder="child")
"""The row that is also asked with request migration off and on."""

RINGS = (
    row("reuseport tcp ipv4 specific close", holder="ring"),
    row("reuseport tcp ipv6 wildcard close", holder="ring"),
)

SHUT = (
    row("reuseport tcp ipv4 specific shutdown", holder="child"),
    row("reuseport tcp ipv6 wildcard shutdown", holder="child"),
)
"""shutdown() acts on the socket, not on the descriptor, so it may help against a leak."""

FITS = 120
"""Flows, as in `failure-queued`: one listener may get them all, and its queue has to hold them."""

WORDS = {"served": "left", "stranded": "stranded", "reset": "reset", "refused": "refused"}
"""The verdict for each kind of fate that the orphaned listener's flows meet."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; each waits for seconds, so a quick run has none."""
    if depth is Depth.QUICK:
        return ()
    rows = (
        *cross(SHARING, BOTH, failure=("close", "kill"), holder=("child",)),
        *at_each(MIGRATION, SWITCH, [KILLED]),
        *RINGS,
        *SHUT,
    )
    return table(ID, rows)


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer; a datagram waits in no queue that could be asked."""
    tcp = asked.get("protocol", "tcp") == "tcp"
    arriving: tuple[Step, ...] = (DueFlows("queued"),) if tcp else ()
    waiting: tuple[Step, ...] = (DueFlows("fates"),) if tcp else ()
    return members_then(
        DueFlows("home"),
        DueChanges(2),
        *arriving,
        DueFlows("after"),
        DueChanges(),
        *waiting,
        DueFlows("freed", FEW),
    )(asked)


def _released(seen: Observation, after: Flows) -> Mapping[str, int]:
    """Count what became of the stranded connections once nothing held the listener any more."""
    if seen.parameters.get("protocol", "tcp") != "tcp":
        return {}
    later = seen.phase("fates").fates
    kinds = [kind(now) for was, now in zip(after.fates, later, strict=True) if was == "open"]
    return {f"let_go_{name}": kinds.count(name) for name in sorted(set(kinds))}


def classify(seen: Observation) -> Judgement:
    """Name what happens to new flows of a listener that is open, but that no worker serves.

    The phase `freed` is the control: the same group once nothing holds that listener.
    """
    after, victim = seen.phase("after"), seen.changes[0].member
    homes = Homes.of(seen.phase("home").fates, after.fates, victim)
    everything = tally(after)
    stranded = sum(kind(fate) == "stranded" for fate in after.fates)
    counts = {
        "flows": everything.flows,
        "stranded": stranded,
        **homes.counts(kind, "taken"),
        **_released(seen, after),
    }
    figures = {
        "stranded_share": everything.share(stranded),
        "home_kept_share": homes.kept,
        "by_counts_only": float(not homes.hold),
    }
    if homes.loss is not None:
        return unclear(homes.loss, counts, figures)
    if (loss := tally(seen.phase("freed")).loss()) is not None:
        return unclear(f"once nothing held it, it is no better: {loss}", counts, figures)
    if any(server(fate) == victim for fate in after.fates):
        return unclear(f"listener {victim + 1} served though it had gone", counts, figures)
    word = _word(homes, after.fates)
    if word is None:
        return unclear("its new flows share no one fate", counts, figures)
    return measured(word, counts, figures)


def _word(homes: Homes, fates: tuple[Fate, ...]) -> str | None:
    """Name the fate of the flows that were lost; None if they share none, or are not its own.

    Where it left the group, the survivors' flows may move, so homes tell only where flows are lost.
    """
    lost = [kind(fate) for fate in fates if server(fate) is None]
    if len(lost) <= STRAY * len(fates):
        return "left"
    name = WORDS.get(prevailing(lost) or "")
    if not homes.hold:
        return name if homes.plausible(len(lost)) else None
    own = prevailing(map(kind, homes.victim))
    others = sum(server(fate) is None for _, fate in homes.survivors)
    return name if own != "served" and others <= STRAY * len(homes.survivors) else None


ORPHANS = Scenario(
    id=ID,
    subject="new flows of a listener that outlives its worker",
    sentence="A worker has gone, but something still holds its listener: who gets its new flows?",
    done="{failure}, but the socket was still held {holder}.",
    words={
        "left": Sense(
            LOSSLESS,
            "the other listeners get all new flows",
            "a descriptor that leaked costs nobody a connection",
            told=("The other listeners got the {flows} new flows.",),
        ),
        "stranded": Sense(
            NOTICED,
            (
                "the listener stays in its group and still gets its share, which nobody serves; "
                "the figure is the share of all new flows"
            ),
            "clients wait until they give up, for as long as the holder lives: restarts do not "
            "help",
            do=(
                "Set close-on-exec (SOCK_CLOEXEC), close the listener in each child, call "
                "shutdown() before close(), and cancel armed accepts"
            ),
            told=(
                "{stranded} of {flows} new flows got no answer.",
                OTHERS_SERVED,
                "When the holder let go, {let_go_reset+} of the waiting connections were reset.",
                "When the holder let go, siblings served {let_go_served+} that waited.",
            ),
        ),
        "reset": Sense(
            NOTICED,
            "its share of new connections is reset",
            "clients see it and can retry, for as long as the holder lives",
            do="Set close-on-exec (SOCK_CLOEXEC)",
        ),
        "refused": Sense(
            NOTICED,
            "its share of new flows is refused",
            "clients see it and can retry, for as long as the holder lives",
            do="Set close-on-exec (SOCK_CLOEXEC)",
        ),
        NO_SHUTDOWN: STAYS,
    },
    cells=cells,
    parameters=Numbers(FITS, FITS),
    script=script,
    classify=classify,
    alarm=40.0,
    load=0,
    figure="stranded_share",
    drawn=("stranded", "flows"),
)
