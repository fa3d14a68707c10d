"""`failure-flows`: the listener of each 4-tuple before and after a member leaves or joins."""

from collections.abc import Mapping, Sequence
from itertools import product

from msgspec import Struct

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, SHARING, TUN, Numbers, Row, cross, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import LOSSLESS, NOTICED, Sense
from harness.scenarios.tally import SAME, STRAY, measured, server, tally, unclear
from harness.wire.observation import Flows, Observation, number
from harness.wire.script import DueChanges, DueFlows, Script, Step, members, members_then

ID = "failure-flows"

MEMBERS = ("first", "middle", "last")

QUICK = (
    row("reuseport tcp ipv4 specific close", change="leave", member="first"),
    row("reuseport tcp ipv4 specific close", change="leave", member="middle"),
    row("reuseport tcp ipv4 specific close", change="leave", member="last"),
    row("reuseport tcp ipv6 wildcard close", change="join"),
    row("reuseport udp ipv4 wildcard kill", change="leave", member="middle"),
    row("reuseport udp ipv6 specific close", change="restart", member="first"),
    row("reuseport_lb tcp ipv4 wildcard close", change="leave", member="middle"),
    row("reuseport tcp ipv4 specific close", change="leave", member="middle", peer=TUN),
)

MANY = (
    *(("leave", member) for member in MEMBERS),
    ("restart", "middle"),
    ("join", ""),
)
"""Changes that are also asked with `peer=tun`: 8000 flows give a share to a percent."""

FAIR = 2
"""A newcomer to k members should get 1 in k+1 flows. More than this many times that is too much."""


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; a join has no axes `failure` and `member`."""
    if depth is Depth.QUICK:
        return table(ID, [_without_failure(one) for one in QUICK])
    rows: list[Row] = []
    for change, member in product(("leave", "restart"), MEMBERS):
        rows += cross(SHARING, BOTH, failure=("close",), change=(change,), member=(member,))
    rows += cross(SHARING, BOTH, failure=("kill",), change=("leave",), member=("middle",))
    rows += cross(SHARING, BOTH, change=("join",))
    for option, (change, member) in product(SHARING, MANY):
        one = row(f"{option} tcp ipv4 specific close", change=change, member=member, peer=TUN)
        rows.append(_without_failure(one))
    return table(ID, rows)


def _without_failure(one: Row) -> Row:
    gone = ("failure", "member") if one["change"] == "join" else ()
    return {name: value for name, value in one.items() if name not in gone}


class Move(Struct, frozen=True):
    """A flow's member before and after. `own` is true if its first member stayed in the group."""

    was: int
    now: int
    own: bool

    @property
    def moved(self) -> bool:
        """Whether another member serves it now."""
        return self.was != self.now


def _moves(before: Flows, after: Flows, left: int | None, newcomer: int) -> Sequence[Move]:
    """Pair the flows that were served both times.

    After a restart the newcomer has a new index; it counts as the member that left.
    """
    moves = []
    for was, now in zip(map(server, before.fates), map(server, after.fates), strict=True):
        if was is not None and now is not None:
            back = now == newcomer and left is not None
            moves.append(Move(was, left if back and left is not None else now, was != left))
    return moves


def _word(change: str, moves: Sequence[Move], listeners: int) -> str:
    """Name how far the flows moved: not at all, only as far as needed, or beyond that.

    Only members that serve have flows. Where one serves all and leaves, no survivor has a flow that
    could move, and the word is `minimal`; the count `members_serving` tells.
    """
    own = [move for move in moves if move.own]
    others = [move for move in own if move.moved and move.now != listeners]
    gained = [move for move in own if move.now == listeners]
    if sum(move.moved for move in moves) <= STRAY * len(moves):
        return "stable"
    if change == "join":
        due = FAIR * len(moves) / (listeners + 1)
        return "minimal" if len(others) <= STRAY * len(own) and len(gained) <= due else "reshuffled"
    return "minimal" if len(others) <= STRAY * len(own) else "reshuffled"


def _share(moves: Sequence[Move]) -> float:
    return sum(move.moved for move in moves) / len(moves) if moves else 0.0


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer: a member leaves before a newcomer joins."""
    change = asked.get("change", "leave")
    steps: list[Step] = [DueFlows("before"), DueFlows("again")]
    if change != "join":
        steps.append(DueChanges())
    if change == "restart":
        steps.append(DueFlows("left"))
    if change != "leave":
        steps += [*members([number(asked, "listeners")]), DueChanges()]
    return members_then(*steps, DueFlows("after"))(asked)


def moot(one: Judgement) -> bool:
    """Return whether one member served all, so that no other one had a flow that could move."""
    return one.counts.get("survivors_total") == 0


def classify(seen: Observation) -> Judgement:
    """Compare each flow's member before and after the change.

    The phase `again` repeats all flows with an unchanged group. If they do not reach the same
    members, a comparison proves nothing (docs/traps.md, trap 7).
    """
    change, listeners = seen.parameters.get("change", "leave"), seen.listeners
    left = None if change == "join" else seen.changes[0].member
    before, again, after = (seen.phase(name) for name in ("before", "again", "after"))
    for phase in (before, again, after):
        if (loss := tally(phase).loss()) is not None or tally(phase).copied:
            return unclear(loss or "datagrams reached several members", tally(phase).counts())
    same = sum(one == two for one, two in zip(before.fates, again.fates, strict=True))
    moves = _moves(before, after, left, listeners)
    own = [move for move in moves if move.own]
    counts = {
        "flows": len(moves),
        "members_serving": len(tally(before).members),
        "again_same": same,
        "survivors_total": len(own),
        "survivors_moved": sum(move.moved for move in own),
        "newcomer": tally(after).members.get(listeners, 0),
    }
    figures = {
        "moved_of_survivors": _share(own),
        "moved_of_all": _share(moves),
        "again_same_share": same / len(before.fates),
    }
    if change == "restart":
        figures["moved_of_survivors_left"] = _share(
            [move for move in _moves(before, seen.phase("left"), left, listeners) if move.own]
        )
    if same < SAME * len(before.fates):
        return unclear("the mapping is not a function of the 4-tuple", counts, figures)
    return measured(_word(change, moves, listeners), counts, figures)


FAILURE_FLOWS = Scenario(
    id=ID,
    subject="flows when the group changes",
    sentence="A member leaves, joins or restarts: which flows change their listener?",
    done="{change}, and the same {flows} clients called again.",
    words={
        "stable": Sense(
            LOSSLESS,
            "every flow kept its listener",
            "state in workers survives",
            told=("{survivors_moved/survivors_total} flows of the other workers moved.",),
        ),
        "minimal": Sense(
            LOSSLESS,
            "only the leaver's flows moved",
            "as good as a consistent hash",
            told=("{survivors_moved/survivors_total} flows of the other workers moved.",),
        ),
        "reshuffled": Sense(
            NOTICED,
            "others' flows moved too; the share beside the word counts survivors' flows",
            "a restart of one worker empties everybody's caches",
            do="Keep sessions outside the workers",
            told=("{survivors_moved/survivors_total} flows of the other workers moved.",),
        ),
    },
    cells=cells,
    parameters=Numbers(200, 400),
    script=script,
    classify=classify,
    alarm=40.0,
    figure="moved_of_survivors",
    drawn=("survivors_moved", "survivors_total"),
    moot=moot,
)
