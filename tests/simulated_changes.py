"""An agent's answers on a simulated kernel while members join, fail, hang and leave."""

from collections.abc import Mapping

from simulated_groups import ALONE, BY_ADDRESS, CONFIRM, CONFIRM_UDP, FOLLOWING
from simulated_kernels import (
    HEIR,
    OWN,
    Fragile,
    Kernel,
    copies,
    lossy,
    modulo,
    newest,
    oldest,
    rendezvous,
    scaled,
    second,
    turns,
)
from simulated_trial import (
    NEWEST,
    NOT_SHUT,
    SCALED,
    STARVED,
    TURNS,
    UNCLEAR,
    Case,
    Simulated,
    Trial,
)

from harness.model import State
from harness.scenarios.drain import WAYS, WITHOUT_CARE
from harness.wire.observation import Fate

SWAP = Kernel(swap=True)

IN_TURN = {"joining": "in-turn"}

TWO = {"listeners": "2"}

STREAM = {"flows": "4000", "rounds": "30"}

PACED = {"pace": "measured"}


def takeover(trial: Trial) -> None:
    tcp = trial.parameters.get("protocol", "tcp") == "tcp"
    if not trial.stand(0):
        return
    ports = trial.ports()
    before = trial.phase("before", ports, trial.serve(ports))
    if not trial.stand(1):
        return
    trial.say("change", what="join", member=1, at=60, error=None)
    trial.phase("during", ports[:8], [0] * 8)
    fresh = trial.ports()
    fates = trial.phase("after", fresh, trial.serve(fresh))
    trial.confirm(fates)
    trial.speak(fates)
    if tcp:
        trial.phase("alive", ports, before)
    trial.leave(0, "close")
    more = trial.ports()
    trial.phase("retired", more, trial.serve(more))
    if tcp:
        trial.phase("alive-retired", ports, before)


def fallback(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    trial.speak(trial.phase("all", ports, trial.serve(ports)))
    where = {"newest": -1, "oldest": 0}
    order = trial.parameters.get("order", "newest")
    for k in range(1, trial.listeners):
        group = sorted(trial.standing())
        trial.leave(group[where.get(order, len(group) // 2)], "close")
        ports = trial.ports()
        gone = trial.kernel.refused_after(k) if isinstance(trial.kernel, Fragile) else None
        fates: list[Fate] = [gone] * len(ports) if gone else trial.serve(ports)
        trial.phase(f"left-{k}", ports, fates)
        if k < trial.listeners - 1:
            trial.confirm(fates, f"left-{k}-addresses")


def failure_established(trial: Trial) -> None:
    """Ask flows of all members, or in turn: a part of them whenever one has come."""
    ports, fates = trial.ports(), list[Fate]()
    in_turn = trial.parameters.get("joining") == "in-turn"
    for index in range(trial.listeners):
        if not trial.stand(index):
            return
        if in_turn or index == trial.listeners - 1:
            due = trial.flows * (index + 1) // trial.listeners
            fates += trial.serve(ports[len(fates) : due])
    before = trial.phase("before", ports, fates)
    if in_turn:
        broken: list[Fate] = ["eof"] * trial.kernel.ousting
        trial.phase("joined", ports, broken + before[len(broken) :])
    victim = trial.victim(before)
    trial.leave(victim, trial.parameters.get("failure", "kill"))
    after = [trial.kernel.echo if fate == victim else fate for fate in before]
    for i in [i for i, fate in enumerate(before) if fate != victim][: trial.kernel.drops]:
        after[i] = "ECONNRESET"
    trial.phase("after", ports, after)


def failure_queued(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    home = trial.phase("home", ports, trial.serve(ports))
    victim = trial.victim(home)
    trial.phase("queued", ports, ["open"] * len(ports))
    owners = trial.serve(ports)
    trial.leave(victim, trial.parameters.get("failure", "kill"))
    fate = trial.kernel.queued
    heir = trial.standing()[-1] if fate == HEIR else fate
    trial.phase("fates", ports, [heir if owner == victim else owner for owner in owners])


def failure_arrivals(trial: Trial) -> None:
    """One flow per ms; the victim fails half-way, with `drops` flows under way at it."""
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    if trial.parameters.get("pace") == "measured":
        calm = trial.ports(48)
        trial.phase("calm", calm, trial.serve(calm))
        trial.say("fact", name="window", value=trial.kernel.window)
    ports, half = trial.ports(), trial.flows // 2
    fates = trial.serve(ports)
    trial.leave(trial.victim(fates), trial.parameters.get("failure", "kill"), at=half)
    for i in range(half, half + trial.kernel.drops):
        fates[i] = trial.kernel.arriving
    trial.phase("stream", ports, fates)


def failure_flows(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    change, ports = trial.parameters.get("change", "leave"), trial.ports()
    victim = trial.victim(trial.phase("before", ports, trial.serve(ports)))
    trial.phase("again", ports, trial.serve(ports))
    if change != "join":
        trial.leave(victim, trial.parameters.get("failure", "close"))
    if change == "restart":
        trial.phase("left", ports, trial.serve(ports))
    if change != "leave":
        trial.stand(trial.listeners)
        trial.say("change", what="join", member=trial.listeners, at=70, error=None)
    trial.phase("after", ports, trial.serve(ports))


def failure_hung(trial: Trial) -> None:
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    victim = trial.victim(trial.phase("home", ports, trial.serve(ports)))
    trial.say("change", what="hang", member=victim, at=60, error=None)
    fates, waiting = trial.serve(ports), 0
    others = [index for index in trial.standing() if index != victim]
    for i, fate in enumerate(fates):
        if fate == victim:
            full = waiting >= trial.kernel.room
            instead = others[i % len(others)] if trial.kernel.hung == HEIR else trial.kernel.hung
            fates[i] = instead if full else "open"
            waiting += not full
        elif trial.kernel.losing is not None and i % 10 == 0:
            fates[i] = trial.kernel.losing
    trial.phase("hung", ports, fates)
    trial.say("fact", name="backlog", value=int(trial.parameters.get("backlog", "16")))


def orphans(trial: Trial) -> None:
    """A listener that is held stays in its group, unless the kernel only looks for its worker."""
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    tcp, kernel = trial.parameters.get("protocol", "tcp") == "tcp", trial.kernel
    ports = trial.ports()
    victim = trial.victim(trial.phase("home", ports, trial.serve(ports)))
    trial.say("change", what="child", member=victim, at=50, error=None)
    group, gone = list(trial.group), kernel.orphaned == HEIR
    trial.leave(victim, trial.parameters.get("failure", "kill"))
    trial.group = trial.group if gone else group
    waits: Fate = victim if kernel.orphaned == OWN else kernel.orphaned
    waits = "timeout" if waits == "open" and not tcp else waits
    after: list[Fate] = [waits if fate == victim else fate for fate in trial.serve(ports)]
    after[: kernel.drops] = ["ECONNRESET"] * kernel.drops
    if tcp:
        trial.phase("queued", ports, ["open"] * len(ports))
    trial.phase("after", ports, after)
    trial.say("change", what="let-go", member=victim, at=60, error=None)
    if tcp:
        trial.phase("fates", ports, [kernel.queued if fate == "open" else fate for fate in after])
    trial.group = [index for index in group if index != victim]
    new = trial.ports(16)
    trial.phase("freed", new, [kernel.freed or fate for fate in trial.serve(new)])


def last_gone(trial: Trial) -> None:
    ports, new = trial.ports(), trial.ports(16)
    if not trial.stand(0):
        return
    trial.phase("queued", ports, ["open"] * len(ports))
    trial.leave(0, trial.parameters.get("failure", "kill"))
    trial.phase("fates", ports, [trial.kernel.queued] * len(ports))
    trial.phase("new", new, [trial.kernel.new] * 16)
    trial.say("attempt", what="rebind-same", call=None, error=None)
    trial.say("attempt", what="rebind-none", call="bind", error="EADDRINUSE")


def backlog(trial: Trial) -> None:
    """One listener queues `backlog` and one more, and then `again` and one more, or as before."""
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    kernel, flows = trial.kernel, trial.flows
    first, second = (int(trial.parameters.get(key, "16")) + 1 for key in ("backlog", "again"))
    sizes = (first, first + kernel.drops if kernel.swap else second)
    for name, fits in zip(("before", "after"), sizes, strict=True):
        ports = trial.ports()
        lost = [fate if isinstance(fate, str) else kernel.forgetting for fate in trial.serve(ports)]
        queued = ["open"] * min(fits, flows) + ["timeout"] * (flows - min(fits, flows))
        trial.phase(name, ports, [fate or own for fate, own in zip(lost, queued, strict=True)])
        if name == "before":
            trial.say(
                "attempt",
                what="again",
                call="listen" if kernel.crossing else None,
                error=kernel.crossing,
            )
            if kernel.crossing:
                return


def drain(trial: Trial) -> None:
    """One flow per ms; `drops` of them are under way when the first member retires."""
    first = trial.listeners // (2 if trial.parameters.get("way") == "all" else 1)
    if not all(trial.stand(index) for index in range(first)):
        return
    calm = trial.ports(200)
    trial.phase("calm", calm, trial.serve(calm))
    kernel, rounds = trial.kernel, int(trial.parameters.get("rounds", "40"))
    apart = trial.flows // (2 * rounds + 1)
    way = trial.parameters.get("way", "close")
    for change in range(2 * rounds):
        error = kernel.retiring if change == kernel.stays else None
        what, member = "back" if change % 2 else way, change // 2 % trial.listeners
        trial.say("change", what=what, member=member, at=(change + 1) * apart, error=error)
        if error is not None:
            break
    ports = trial.ports()
    fates = trial.serve(ports)
    fates[apart : apart + kernel.drops] = [kernel.arriving] * kernel.drops
    trial.phase("stream", ports, fates)
    trial.say("fact", name="exposed", value=32 * rounds)
    trial.say("fact", name="drained", value=kernel.waiting * rounds)
    if kernel.endless:
        trial.say("fact", name="endless", value=kernel.endless)


QUEUES = {"listeners": "1", "flows": "96", "backlog": "16", "again": "48"}

CHANGES: Mapping[str, Simulated] = {
    "takeover": Simulated(
        takeover,
        ("shared", "shared", "newest-takes-all", "oldest-keeps", "oldest-keeps", *UNCLEAR),
        {"listeners": "2"},
        cases=(
            Case(SCALED, "shared", {"listeners": "2"}),
            Case(NEWEST, "newest-takes-all", {"listeners": "2"}),
            Case(Kernel(oldest), "oldest-keeps", {"listeners": "2", "protocol": "udp"}),
            Case(SCALED, "shared", {**TWO, **CONFIRM_UDP}),
            Case(Kernel(oldest), "oldest-keeps", {**TWO, **CONFIRM_UDP}),
            Case(NEWEST, "newest-takes-all", {**TWO, **CONFIRM_UDP}),
            Case(NEWEST, "newest-takes-all", {**TWO, **CONFIRM}),
            Case(FOLLOWING, "last-sender", {**TWO, **CONFIRM_UDP}),
            Case(FOLLOWING, "newest-takes-all", {**TWO, "protocol": "udp"}),
            Case(BY_ADDRESS, "shared", {**TWO, **CONFIRM_UDP}),
            Case(BY_ADDRESS, "oldest-keeps", {**TWO, "protocol": "udp"}),
            Case(ALONE, "one:EPERM", {**TWO, **CONFIRM}),
            Case(
                Kernel(oldest, apart=lossy),
                "other client addresses: lossy",
                {**TWO, **CONFIRM_UDP},
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(copies),
                "to both",
                {"listeners": "2", "protocol": "udp"},
                state=State.INCONCLUSIVE,
            ),
        ),
    ),
    "fallback": Simulated(
        fallback,
        ("rebalanced", "rebalanced", "previous", "next", None, *UNCLEAR),
        cases=(
            *(Case(SCALED, "rebalanced", {"order": order}) for order in ("newest", "middle")),
            *(Case(NEWEST, "previous", {"order": order}) for order in ("newest", "oldest")),
            Case(NEWEST, "previous", {"order": "middle"}),
            Case(Kernel(oldest), "next", {"order": "oldest"}),
            Case(Kernel(turns), "rebalanced", {"order": "middle"}),
            Case(Fragile(newest), "refused"),
            Case(SCALED, "rebalanced", CONFIRM_UDP),
            Case(NEWEST, "previous", {**CONFIRM, "order": "middle"}),
            Case(Kernel(oldest), "next", {**CONFIRM_UDP, "order": "oldest"}),
            Case(FOLLOWING, "last-sender", CONFIRM_UDP),
            Case(FOLLOWING, "previous", {"protocol": "udp"}),
            Case(BY_ADDRESS, "rebalanced", CONFIRM_UDP),
            Case(BY_ADDRESS, "next", {"protocol": "udp"}),
            Case(ALONE, "one:EPERM", CONFIRM_UDP),
            Case(
                Kernel(oldest, apart=lossy),
                "addresses: lossy",
                CONFIRM_UDP,
                state=State.INCONCLUSIVE,
            ),
            Case(Kernel(second, alone="EACCES"), "one:EACCES", {**CONFIRM, "order": "oldest"}),
            Case(Kernel(lossy), "lossy", {"protocol": "udp"}, state=State.INCONCLUSIVE),
            Case(
                Kernel(second), "after leave 1: one", {"order": "oldest"}, state=State.INCONCLUSIVE
            ),
        ),
    ),
    "failure-established": Simulated(
        failure_established,
        ("unaffected", "unaffected", "no survivor", "no survivor", "unaffected", *UNCLEAR),
        cases=(
            Case(SCALED, "unaffected"),
            Case(Kernel(drops=3), "dropped:3/289"),
            *(Case(Kernel(one), "unaffected", IN_TURN) for one in (scaled, newest, turns)),
            Case(Kernel(newest, drops=3), "dropped:3/300", IN_TURN),
            Case(Kernel(oldest), "no survivor", IN_TURN, state=State.NOT_APPLICABLE),
            Case(
                Kernel(newest, ousting=2),
                "2 connections broke when newer members came",
                IN_TURN,
                state=State.INCONCLUSIVE,
            ),
            NOT_SHUT,
        ),
    ),
    "failure-queued": Simulated(
        failure_queued,
        (*["reset"] * 5, *UNCLEAR),
        cases=(
            Case(SCALED, "reset"),
            NOT_SHUT,
            Case(Kernel(queued=HEIR), "inherited"),
            Case(Kernel(queued=HEIR), "inherited", {"accept": "fast-open"}),
            Case(Kernel(queued="eof"), "closed"),
            Case(Kernel(queued="open"), "stranded"),
            Case(NEWEST, "reset"),
            Case(TURNS, "reset", {"flows": "398"}),
            Case(Kernel(turns, queued=HEIR), "inherited", {"flows": "398"}),
            Case(Kernel(queued="foreign"), "somebody else's server", state=State.INCONCLUSIVE),
            Case(Kernel(lossy), "not served before it failed", state=State.INCONCLUSIVE),
            Case(Kernel(gap=3000, queued="open"), "guest was starved", state=State.INCONCLUSIVE),
        ),
    ),
    "failure-arrivals": Simulated(
        failure_arrivals,
        (*["served"] * 5, None, "slow or lost before", STARVED),
        cases=(
            Case(SCALED, "served"),
            Case(Kernel(drops=5), "reset:5/203"),
            NOT_SHUT,
            Case(Kernel(drops=5, arriving="ECONNREFUSED"), "refused:5/203"),
            Case(Kernel(drops=5, arriving="timeout"), "delayed:5/203"),
            Case(Kernel(drops=5, arriving="timeout"), "lost:5/203", {"protocol": "udp"}),
            Case(Kernel(drops=2, arriving="timeout"), "served"),
            Case(SCALED, "served", PACED),
            Case(NEWEST, "served", PACED),
            Case(Kernel(drops=5), "reset:5/203", PACED),
            Case(Kernel(drops=12, arriving="timeout"), "delayed:12/203", PACED),
            Case(Kernel(drops=12, arriving="timeout", window=3), "delayed:12/203", PACED),
            Case(
                Kernel(drops=5, arriving="timeout"),
                "5 of 203 flows were delayed, which may be chance",
                PACED,
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(window=12),
                "too slow: it serves 12 flows at once",
                PACED,
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(gap=1200),
                "too slow: a flow may take",
                PACED,
                state=State.INCONCLUSIVE,
            ),
            Case(Kernel(newest, window=4), "served", PACED),
            Case(
                Kernel(lossy),
                "before the worker failed",
                {"protocol": "udp"},
                state=State.INCONCLUSIVE,
            ),
        ),
    ),
    "failure-flows": Simulated(
        failure_flows,
        ("reshuffled", "reshuffled", "minimal", "minimal", "minimal", *UNCLEAR),
        cases=(
            Case(SWAP, "reshuffled", {"member": "first"}),
            Case(Kernel(modulo), "reshuffled", {"member": "middle"}),
            Case(Kernel(rendezvous), "minimal", {"member": "first"}),
            Case(Kernel(rendezvous), "minimal", {"change": "join"}),
            Case(Kernel(oldest), "stable", {"change": "join"}),
            Case(NEWEST, "reshuffled", {"change": "join"}),
            Case(Kernel(place=True), "stable", {"change": "restart"}),
            Case(SWAP, "reshuffled", {"change": "restart", "member": "first"}),
            Case(
                Kernel(turns),
                "not a function of the 4-tuple",
                {"flows": "398"},
                state=State.INCONCLUSIVE,
            ),
            Case(Kernel(lossy), "lossy", {"protocol": "udp"}, state=State.INCONCLUSIVE),
        ),
    ),
    "failure-hung": Simulated(
        failure_hung,
        ("stalled", "stalled", "all-stalled", "all-stalled", "stalled", *UNCLEAR),
        cases=(
            Case(SCALED, "stalled"),
            Case(Kernel(room=999), "stalled"),
            Case(Kernel(hung="ECONNRESET"), "reset"),
            Case(Kernel(hung=HEIR), "overflowed"),
            Case(NEWEST, "all-stalled"),
            Case(TURNS, "stalled", {"flows": "398"}),
            Case(
                Kernel(lossy),
                "not served before it failed",
                {"protocol": "udp"},
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(losing="timeout"),
                "the survivors, too",
                {"protocol": "udp"},
                state=State.INCONCLUSIVE,
            ),
            Case(Kernel(gap=3000), "guest was starved", state=State.INCONCLUSIVE),
        ),
    ),
    "orphans": Simulated(
        orphans,
        (*["stranded"] * 5, *UNCLEAR),
        cases=(
            Case(SCALED, "stranded"),
            Case(SCALED, "stranded", {"protocol": "udp"}),
            Case(NEWEST, "stranded"),
            Case(SWAP, "stranded"),
            Case(TURNS, "stranded", {"flows": "398"}),
            Case(Kernel(orphaned=HEIR, swap=True), "left", {"member": "first"}),
            Case(Kernel(newest, orphaned=HEIR), "left"),
            Case(Kernel(turns, orphaned=HEIR), "left", {"flows": "398"}),
            Case(Kernel(orphaned="ECONNRESET"), "reset"),
            Case(Kernel(orphaned="ECONNREFUSED"), "refused"),
            NOT_SHUT,
            Case(Kernel(orphaned=OWN), "served though it had gone", state=State.INCONCLUSIVE),
            Case(Kernel(orphaned="eof"), "share no one fate", state=State.INCONCLUSIVE),
            Case(Kernel(orphaned=HEIR, drops=20), "share no one fate", state=State.INCONCLUSIVE),
            Case(Kernel(freed="timeout"), "once nothing held it", state=State.INCONCLUSIVE),
            Case(Kernel(lossy), "not served before it failed", state=State.INCONCLUSIVE),
            Case(Kernel(gap=3000), "guest was starved", state=State.INCONCLUSIVE),
        ),
    ),
    "backlog": Simulated(
        backlog,
        (*["follows"] * 7, STARVED),
        QUEUES,
        cases=(
            Case(SCALED, "follows", QUEUES),
            Case(SCALED, "follows", {**QUEUES, "backlog": "48", "again": "16"}),
            Case(SWAP, "stays", QUEUES),
            Case(Kernel(swap=True, drops=10), "neither the same", QUEUES, state=State.INCONCLUSIVE),
            Case(SCALED, "never full after", {**QUEUES, "flows": "40"}, state=State.INCONCLUSIVE),
            Case(Kernel(forgetting="eof"), "not only queued", QUEUES, state=State.INCONCLUSIVE),
            Case(Kernel(crossing="EINVAL"), "EINVAL", QUEUES, state=State.NOT_APPLICABLE),
        ),
    ),
    "last-gone": Simulated(
        last_gone,
        ("refused",) * 8,
        {"listeners": "1"},
        cases=(
            Case(SCALED, "refused", {"listeners": "1"}),
            Case(NOT_SHUT.kernel, NOT_SHUT.word, {**NOT_SHUT.asked, "listeners": "1"}),
            Case(Kernel(new="timeout"), "hang", {"listeners": "1"}),
            Case(Kernel(new="ECONNRESET"), "reset", {"listeners": "1"}),
            Case(Kernel(new="eof"), "no one fate", {"listeners": "1"}, state=State.INCONCLUSIVE),
        ),
    ),
    "drain": Simulated(
        drain,
        (*["lossless"] * 5, *UNCLEAR),
        {"flows": "3185", "rounds": "24"},
        cases=(
            *(Case(SCALED, "lossless", {**STREAM, "way": way}) for way in WAYS),
            *(Case(SCALED, "lossless", {**STREAM, "way": way}) for way in WITHOUT_CARE),
            Case(Kernel(drops=1), "lost:1/4000", {**STREAM, "way": "visit"}),
            Case(Kernel(newest, waiting=0), "lossless", {**STREAM, "way": "all"}),
            Case(NEWEST, "lossless", STREAM),
            Case(Kernel(waiting=0), "lossless", {**STREAM, "way": "shutdown"}),
            Case(Kernel(waiting=0, endless=30), "lossless", {**STREAM, "way": "shutdown"}),
            Case(Kernel(retiring="ENOTCONN"), NOT_SHUT.word, {**STREAM, "way": "shutdown"}),
            Case(Kernel(drops=1), "lost:1/4000", STREAM),
            Case(Kernel(drops=1, arriving="ECONNREFUSED"), "lost:1/4000", STREAM),
            Case(Kernel(drops=1, arriving="eof"), "lost:1/4000", STREAM),
            Case(Kernel(drops=1, arriving="open"), "lost:1/4000", STREAM),
            Case(Kernel(drops=41, arriving="timeout"), "lost:41/4000", STREAM),
            Case(
                Kernel(drops=40, arriving="timeout"),
                "may be chance",
                STREAM,
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(drops=1, arriving="ETIMEDOUT"),
                "may be chance",
                STREAM,
                state=State.INCONCLUSIVE,
            ),
            Case(
                SCALED,
                "672 flows are too few to exclude",
                {"flows": "4000", "rounds": "21"},
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(waiting=0),
                "no connection waited for a worker",
                STREAM,
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(drops=1, arriving="foreign"),
                "somebody else's server",
                STREAM,
                state=State.INCONCLUSIVE,
            ),
            Case(
                Kernel(drops=1, arriving="open", gap=3000),
                "guest was starved",
                STREAM,
                state=State.INCONCLUSIVE,
            ),
        ),
    ),
}
