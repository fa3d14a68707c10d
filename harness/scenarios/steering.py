"""`steering`: a program chooses the member that each flow reaches; what if members change?"""

from collections.abc import Mapping
from itertools import product

from harness.model import Cell, Depth, Judgement
from harness.scenarios.grid import BOTH, Numbers, row, table
from harness.scenarios.scenario import Scenario
from harness.scenarios.sense import FACT, NOTICED, Sense
from harness.scenarios.statistics import one_taker_is_telling
from harness.scenarios.steered import NAMES, Steered, same, share
from harness.scenarios.tally import SAME, measured, server, tally, too_few, unclear
from harness.wire.observation import Observation, number
from harness.wire.script import DueChanges, DueFlows, Script, Step, members, members_then

ID = "steering"

PROGRAMS = ("cbpf", "ebpf")
"""Classic BPF, which names a member by its number and which every user may attach; and eBPF of
type SK_REUSEPORT, which takes a socket out of a map and needs root (linux:
net/core/sock_reuseport.c, reuseport_select_sock())."""

BY_CPU = "cpu"
"""Value of the axis `program` without one: SO_INCOMING_CPU. It needs two CPUs."""

SEQUELS = ("nothing", "beyond", "join", "leave", "restart", "detach")
"""What happens once the program steers (docs/wire.md, "steering")."""

PLACES = ("ipv4 specific", "ipv6 wildcard")

NUMBERS = Numbers(200, 200)


def cells(depth: Depth) -> tuple[Cell, ...]:
    """Return the cells of this scenario; a quick run has none, as most groups have no program."""
    if depth is Depth.QUICK:
        return ()
    every = product(PROGRAMS, BOTH, PLACES, SEQUELS)
    rows = [
        row(f"reuseport {protocol} {place}", program=program, then=then)
        for program, protocol, place, then in every
    ]
    rows += [
        row(f"reuseport {protocol} {place}", program=BY_CPU, then="nothing")
        for protocol, place in product(BOTH, PLACES)
    ]
    return table(ID, (*rows, row("reuseport tcp mapped wildcard", program="cbpf", then="nothing")))


def parameters(cell: Cell, depth: Depth) -> Mapping[str, str]:
    """Return the parameters of the question; the first member leaves.

    If it does, a kernel that moves the last member to its number and one that moves up all those
    behind it differ for every flow of the others.
    """
    return {**NUMBERS(cell, depth), "member": "first"}


def script(asked: Mapping[str, str]) -> Script:
    """Return the script of a complete answer."""
    newcomer = members([number(asked, "listeners")])
    after = DueFlows("after")
    sequels: Mapping[str, tuple[Step, ...]] = {
        "join": (*newcomer, DueChanges(), after, DueChanges(), DueFlows("wider")),
        "leave": (DueChanges(), after),
        "restart": (*newcomer, DueChanges(2), after),
        "detach": (DueChanges(), after),
    }
    steps = (DueFlows("home"), DueChanges(), DueFlows("steered"))
    if asked.get("program") == BY_CPU:
        return members_then(*steps, DueFlows("other-cpu"))(asked)
    return members_then(*steps, *sequels.get(asked.get("then", "nothing"), ()))(asked)


def _by_cpu(seen: Observation) -> Judgement:
    """Compare the member that each flow reached with the CPU on which the client was.

    Members take turns: the even ones are for the first CPU, the odd ones for the other.
    """
    home, *phases = (seen.phase(name) for name in ("home", "steered", "other-cpu"))
    members = [server(fate) for flows in phases for fate in flows.fates]
    cpus = [cpu for cpu, flows in enumerate(phases) for _ in flows.fates]
    followed = [
        member is not None and member % 2 == cpu for member, cpu in zip(members, cpus, strict=True)
    ]
    as_before = [was == now for was, now in zip((*home.fates,) * 2, members, strict=True)]
    counts = {"flows": len(members), "followed": sum(followed), "as_before": sum(as_before)}
    figures = {"followed_share": share(followed)}
    for flows in (home, *phases):
        if (loss := tally(flows).loss()) is not None:
            return unclear(loss, counts, figures)
    if not one_taker_is_telling(len(home.fates), 2):
        return unclear(too_few(len(home.fates), "tell a CPU from a hash"), counts, figures)
    if share(followed) >= SAME:
        return measured("as-steered", counts, figures)
    if share(as_before) >= SAME:
        return measured("ignored", counts, figures)
    return unclear("the flows follow neither the CPU nor the hash", counts, figures)


def classify(seen: Observation) -> Judgement:
    """Compare the member that each flow reached with the one that the program named."""
    if seen.parameters.get("program") == BY_CPU:
        return _by_cpu(seen)
    flows = Steered.of(seen)
    counts, figures = flows.counts, {"followed_share": flows.followed}
    if (loss := tally(seen.phase("home")).loss()) is not None:
        return unclear(f"before there was a program: {loss}", counts, figures)
    if not one_taker_is_telling(len(flows.places), flows.listeners):
        return unclear(too_few(len(flows.places), "tell a program from a hash"), counts, figures)
    then = seen.parameters.get("then", "nothing")
    if flows.followed < SAME:
        ignored = same(flows.steered, flows.home)
        why = "the members that served are neither the program's nor those of before"
        return measured("ignored", counts, figures) if ignored else unclear(why, counts, figures)
    word = NAMES[then](flows)
    if word is None:
        return unclear(f"after {then}, the flows follow no one rule", counts, figures)
    return measured(word, counts, figures)


STEERING = Scenario(
    id=ID,
    subject="flows that a program steers",
    sentence="A program chooses the listener of each flow: is it followed when members change?",
    done="{program} chose the listener of each flow. {then}.",
    words={
        "as-steered": Sense(
            FACT,
            "each flow reached the listener that the program named",
            "a program can keep a client, a CPU or a shard with one worker",
            told=("{followed/flows} flows reached the listener that the program named.",),
        ),
        "as-hash": Sense(
            FACT,
            (
                "flows that the program gave to nobody (after a detach: all) were served as "
                "without a program"
            ),
            "a program that names nobody loses nothing, but its flows go to any worker",
        ),
        "ignored": Sense(
            NOTICED,
            "the kernel took the program, and served every flow as without it",
            "what the program was to keep together is spread; no call says so",
            do="Look at who serves before you rely on the program",
            told=("{as_before/flows} flows reached the same listener with the program as before.",),
        ),
        "newcomers-starve": Sense(
            NOTICED,
            "who joined got nothing until a program named it",
            "a new worker, or a second process, is ready and serves nothing",
            do="Attach a program for the new number of workers once they listen",
            told=(
                "The newcomer served {newcomer} of {flows} flows, and {newcomer_named} once a "
                "program named it.",
            ),
        ),
        "renumbered": Sense(
            FACT,
            "the last listener to come took the number of the one that left",
            (
                "in a restart the new worker takes over the flows of the old one; if no new one "
                "came, the last worker gets them, and its own go to any worker"
            ),
            do="Start the new worker before the old one stops, one at a time",
        ),
        "moved-up": Sense(
            FACT,
            "those that came after the one that left moved up by one number",
            "every worker behind it gets the flows of another",
            do="Attach a new program after each leave",
        ),
        "lost": Sense(
            NOTICED,
            "flows were lost for which the program named no listener",
            "clients fail until the program is replaced",
            do="Replace the program before a worker leaves",
        ),
    },
    cells=cells,
    parameters=parameters,
    script=script,
    classify=classify,
    alarm=30.0,
)
