"""An agent's answers on a simulated kernel with stable groups: who can join, who serves."""

from collections.abc import Mapping, Sequence

from simulated_kernels import (
    Group,
    Kernel,
    copies,
    few_taken,
    fickle,
    foreign,
    hashed,
    idle_half,
    late_loss,
    later_loss,
    lossy,
    modulo,
    newest,
    oldest,
    paired,
    scaled,
    second,
    stray,
    turns,
)
from simulated_trial import LOSSY, NEWEST, SCALED, STARVED, UNCLEAR, Case, Simulated, Trial

from harness.model import State
from harness.scenarios.precedence import SIDES
from harness.wire.observation import Fate

ENDS = (scaled, newest, oldest)

HUNDREDS = {"flows": "4000", "sockets": "300"}


def sharing(trial: Trial) -> None:
    trial.say("attempt", what="first", call=None, error=None)
    error = trial.kernel.refused
    trial.say("attempt", what="second", call="bind" if error else None, error=error)
    if error is None and trial.parameters.get("case") != "time-wait":
        trial.group = [0, 1]
        ports = trial.ports(16)
        trial.phase("traffic", ports, trial.serve(ports))


def intrusion(trial: Trial) -> None:
    """A server serves alone, then a newcomer joins it, if it may."""
    trial.stand(0)
    ports, error = trial.ports(), trial.kernel.refused
    trial.phase("before", ports, trial.serve(ports))
    call = trial.kernel.refusing if error else None
    trial.say("attempt", what="joins", call=call, error=error)
    if error is None:
        trial.join(1)
        fates = trial.phase("after", ports, trial.serve(ports))
        trial.confirm(fates)
        trial.speak(fates)


def distribution(trial: Trial) -> None:
    if all(trial.stand(index) for index in range(trial.listeners)):
        ports = trial.ports()
        fates = trial.phase("all", ports, trial.serve(ports))
        trial.confirm(fates)
        trial.speak(fates)


def one_listener(trial: Trial) -> None:
    """One socket; the workers are a group that the simulated kernel chooses from."""
    error = trial.kernel.refused
    trial.say("attempt", what="listener", call="listen" if error else None, error=error)
    if error is None:
        trial.group = list(range(trial.listeners))
        ports = trial.ports()
        trial.phase("all", ports, trial.serve(ports))


def server_port(trial: Trial) -> None:
    """Ask the same again at another port, which is or is not among the hash's inputs."""
    if all(trial.stand(index) for index in range(trial.listeners)):
        ports = trial.ports()
        trial.phase("all", ports, trial.serve(ports))
        for other in range(1, int(trial.parameters.get("ports", "2"))):
            moved = [(port + other * trial.kernel.port_counts) % 65536 for port in ports]
            fates = [shifted(trial, fate, other) for fate in trial.serve(moved)]
            trial.phase("elsewhere" if other == 1 else f"elsewhere-{other}", ports, fates)


def shifted(trial: Trial, fate: Fate, other: int) -> Fate:
    """Return the member that serves where the port moves all flows by some places together."""
    if not isinstance(fate, int):
        return fate
    return (fate + other * trial.kernel.port_shifts) % trial.listeners


def listen_order(trial: Trial) -> None:
    """Ask the same again, after the members listened in the opposite order."""
    if all(trial.stand(index) for index in range(trial.listeners)):
        ports, error = trial.ports(), trial.kernel.crossing
        trial.phase("all", ports, trial.serve(ports))
        trial.say("attempt", what="crossed", call="listen" if error else None, error=error)
        if not trial.kernel.by_bind:
            trial.group.reverse()
        if error is None:
            trial.phase("crossed", ports, trial.serve(ports))


def bound_only(trial: Trial) -> None:
    count = trial.listeners
    if all(trial.stand(index) for index in range(count)) and trial.stand(count, listens=False):
        ports, fate = trial.ports(), trial.kernel.bystander
        fates = trial.serve(ports)
        if fate is not None:
            hit = [hashed(port, 9) % (count + 1) == 0 for port in ports]
            fates = [fate if lost else own for lost, own in zip(hit, fates, strict=True)]
        trial.phase("all", ports, fates)
        trial.say("change", what="close", member=count, at=80, error=None)
        alone = trial.ports()
        trial.phase("alone", alone, trial.serve(alone))


def precedence(trial: Trial) -> None:
    """Whoever the kernel chooses among the preferred side serves; `preferred` None: among all."""
    half, position = trial.listeners // 2, trial.parameters.get("position", "last")
    order = list(range(trial.listeners))
    turned = order[half:] + order[:half]
    if not all(trial.stand(index) for index in (turned if position == "last" else order)):
        return
    _serve_side(trial, "all", half)
    if position == "both":
        _cross(trial, half)


def confined(trial: Trial) -> None:
    """Those outside leave in the end. With `bystander` nobody reaches those inside even then."""
    half, kernel = trial.listeners // 2, trial.kernel
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    _serve_side(trial, "all", half)
    if not _cross(trial, half):
        return
    trial.group = list(range(trial.listeners))
    for index in range(half):
        trial.leave(index, "close")
    ports = trial.ports(16)
    fates = [kernel.bystander or fate for fate in trial.serve(ports)]
    trial.phase("inside", ports, fates)


def _cross(trial: Trial, half: int) -> bool:
    """Ask again in the order in which the second side binds first; False if that is refused."""
    order = range(trial.listeners)
    error = trial.kernel.crossing
    trial.say("attempt", what="crossed", call="bind" if error else None, error=error)
    if error is None:
        trial.group = [*order[half:], *order[:half]]
        _serve_side(trial, "crossed", half)
    return error is None


def _serve_side(trial: Trial, phase: str, half: int) -> None:
    side = trial.kernel.preferred
    if side is not None:
        trial.group = order_of(side, half, trial.group)
    ports = trial.ports()
    trial.phase(phase, ports, trial.serve(ports))


def order_of(side: int, half: int, group: Group) -> Group:
    return [index for index in group if (index >= half) == bool(side)]


def group_limit(trial: Trial) -> None:
    """Members beyond the kernel's limit are deaf, or refused if `refused` is set.

    As in the agent, no more flows come once all have served, or one has served all so far.
    """
    kernel, asked = trial.kernel, int(trial.parameters.get("sockets", "300"))
    stood = asked if kernel.refused is None else min(asked, kernel.limit)
    error = kernel.refused if stood < asked else None
    trial.group = list(range(min(stood, kernel.limit)))
    ports = trial.ports()
    trial.say("fact", name="stood", value=stood)
    trial.say("attempt", what="last", call="bind" if error else None, error=error)
    fates = trial.serve(ports)
    parts = (count for count in range(200, len(fates), 200) if _settled(fates[:count], stood))
    enough = next(parts, len(fates))
    trial.phase("all", ports[:enough], fates[:enough])


def _settled(fates: Sequence[Fate], stood: int) -> bool:
    members = {fate for fate in fates if isinstance(fate, int)}
    whole = all(isinstance(fate, int) for fate in fates)
    return len(members) == stood or (whole and len(members) == 1)


def datagrams(trial: Trial) -> None:
    """Send from 17 senders, or from a new one for each datagram."""
    if all(trial.stand(index) for index in range(trial.listeners)):
        few = trial.parameters.get("source") == "one-sender" or "delivery" in trial.parameters
        ports = trial.ports(17) if few else trial.ports()
        sent = [ports[i % len(ports)] for i in range(trial.flows)]
        fates = trial.phase("all", sent, trial.serve(sent))
        trial.confirm(fates)
        trial.speak(fates)


CONFIRM = {"confirm": "order"}

CONFIRM_UDP = {"confirm": "order", "protocol": "udp"}

FOLLOWING = Kernel(newest, follows=True)

BY_ADDRESS = Kernel(oldest, apart=scaled)

ALONE = Kernel(oldest, alone="EPERM")

GROUPS: Mapping[str, Simulated] = {
    "sharing": Simulated(
        sharing,
        ("shared",) * 8,
        cases=(
            Case(SCALED, "shared", {"case": "both"}),
            Case(SCALED, "shared", {"case": "time-wait"}),
            Case(Kernel(refused="EACCES"), "refused:EACCES", {"case": "other-uid"}),
        ),
    ),
    "intrusion": Simulated(
        intrusion,
        ("shared", "shared", "takes-all", *["takes-none"] * 2, "copied", LOSSY, STARVED),
        cases=(
            Case(SCALED, "shared", CONFIRM_UDP),
            Case(NEWEST, "takes-all", CONFIRM),
            Case(NEWEST, "takes-all", CONFIRM_UDP),
            Case(Kernel(oldest), "takes-none", CONFIRM_UDP),
            Case(Kernel(copies), "copied", {"protocol": "udp"}),
            Case(Kernel(refused="EADDRINUSE"), "refused:EADDRINUSE", CONFIRM),
            Case(
                Kernel(refused="ENOPROTOOPT", refusing="setsockopt"),
                "setsockopt ENOPROTOOPT",
                state=State.NOT_APPLICABLE,
            ),
            Case(BY_ADDRESS, "by-address", CONFIRM_UDP),
            Case(ALONE, "one:EPERM", CONFIRM_UDP),
            Case(FOLLOWING, "last-sender", CONFIRM_UDP),
            Case(Kernel(lossy), "lossy", state=State.INCONCLUSIVE),
            Case(Kernel(foreign), "somebody else's server", state=State.INCONCLUSIVE),
            Case(
                Kernel(few_taken),
                "neither all, none nor a share",
                {"flows": "400"},
                state=State.INCONCLUSIVE,
            ),
        ),
    ),
    "distribution": Simulated(
        distribution,
        ("balanced", "balanced", "newest", "oldest", "skewed", "copied", LOSSY, STARVED),
        cases=(
            Case(Kernel(scaled), "balanced"),
            Case(Kernel(modulo), "balanced"),
            Case(Kernel(newest), "newest"),
            Case(Kernel(oldest), "oldest"),
            Case(Kernel(second), "one"),
            Case(Kernel(copies), "copied", {"protocol": "udp"}),
            Case(Kernel(idle_half), "skewed"),
            Case(Kernel(turns), "balanced"),
            Case(Kernel(stray), "balanced", {"protocol": "udp"}),
            Case(Kernel(lossy), "lossy", {"protocol": "udp"}, state=State.INCONCLUSIVE),
            Case(Kernel(scaled), "too few", {"flows": "20"}, state=State.INCONCLUSIVE),
            Case(Kernel(newest), "too few", {"flows": "8"}, state=State.INCONCLUSIVE),
            Case(Kernel(foreign), "somebody else's server", state=State.INCONCLUSIVE),
            Case(Kernel(stray, gap=3000), "guest was starved", state=State.INCONCLUSIVE),
            Case(Kernel(oldest), "oldest", CONFIRM),
            Case(Kernel(scaled), "balanced", CONFIRM_UDP),
            Case(Kernel(newest), "newest", CONFIRM_UDP),
            Case(Kernel(oldest), "oldest", CONFIRM_UDP),
            Case(Kernel(second), "one", CONFIRM_UDP),
            Case(FOLLOWING, "last-sender", CONFIRM_UDP),
            Case(FOLLOWING, "newest", {"protocol": "udp"}),
            Case(BY_ADDRESS, "by-address", CONFIRM_UDP),
            Case(BY_ADDRESS, "by-address", CONFIRM),
            Case(BY_ADDRESS, "oldest", {"protocol": "udp"}),
            Case(ALONE, "one:EPERM", CONFIRM_UDP),
            Case(ALONE, "one:EPERM", CONFIRM),
            Case(Kernel(oldest, apart=lossy), "lossy", CONFIRM_UDP, state=State.INCONCLUSIVE),
            Case(Kernel(oldest, apart=copies), "several", CONFIRM_UDP, state=State.INCONCLUSIVE),
            Case(Kernel(oldest), "oldest", {**CONFIRM, "peer": "tun"}),
            Case(Kernel(fickle), "had sent", CONFIRM_UDP, state=State.INCONCLUSIVE),
            Case(Kernel(late_loss), "not asked", CONFIRM, state=State.INCONCLUSIVE),
            Case(
                Kernel(late_loss),
                "told to send",
                {**CONFIRM_UDP, "source": "many-addresses"},
                state=State.INCONCLUSIVE,
            ),
        ),
    ),
    "one-listener": Simulated(
        one_listener,
        ("any", "any", "any", "any", "any", "too few", LOSSY, STARVED),
        cases=(
            Case(Kernel(turns), "in-turn"),
            Case(Kernel(scaled), "any"),
            Case(Kernel(oldest), "any"),
            Case(Kernel(idle_half), "any"),
            Case(Kernel(copies), "too few", state=State.INCONCLUSIVE),
            Case(Kernel(turns), "too few", {"flows": "20"}, state=State.INCONCLUSIVE),
            Case(Kernel(lossy), "lossy", state=State.INCONCLUSIVE),
            Case(Kernel(refused="EACCES"), "listen EACCES", state=State.NOT_APPLICABLE),
        ),
    ),
    "server-port": Simulated(
        server_port,
        ("same", "same", "one", "one", "same", *UNCLEAR),
        cases=(
            Case(SCALED, "same", {"flows": "2000"}),
            Case(Kernel(port_counts=1), "independent", {"flows": "2000"}),
            Case(Kernel(idle_half, port_counts=1), "independent", {"flows": "2000"}),
            Case(Kernel(paired, port_counts=1), "partly", {"flows": "2000"}),
            Case(NEWEST, "one"),
            Case(SCALED, "same", {"flows": "250", "ports": "8"}),
            Case(Kernel(port_counts=1), "independent", {"flows": "250", "ports": "8"}),
            Case(Kernel(paired, port_counts=1), "partly", {"flows": "1000", "ports": "8"}),
            Case(Kernel(port_shifts=1), "shifted", {"flows": "250", "ports": "8"}),
            Case(Kernel(port_shifts=1), "never", {"flows": "2000"}),
        ),
    ),
    "listen-order": Simulated(
        listen_order,
        (*["listen"] * 5, *UNCLEAR),
        cases=(
            *(Case(Kernel(choose), "listen") for choose in ENDS),
            *(Case(Kernel(choose, by_bind=True), "bind") for choose in ENDS),
            Case(Kernel(modulo), "listen", {"listeners": "5"}),
            Case(Kernel(lossy), "lossy", state=State.INCONCLUSIVE),
            Case(
                Kernel(turns), "follows neither order", {"flows": "398"}, state=State.INCONCLUSIVE
            ),
            Case(Kernel(), "follows neither order", {"listeners": "1"}, state=State.INCONCLUSIVE),
            Case(Kernel(crossing="EADDRINUSE"), "listen EADDRINUSE", state=State.NOT_APPLICABLE),
        ),
    ),
    "bound-only": Simulated(
        bound_only,
        (*["harmless"] * 5, *UNCLEAR),
        cases=(
            Case(SCALED, "harmless"),
            Case(Kernel(bystander="timeout"), "swallowed:0.20"),
            Case(Kernel(bystander="ECONNREFUSED"), "refused:0.20"),
            Case(Kernel(stray), "harmless"),
        ),
    ),
    "precedence": Simulated(
        precedence,
        ("both", "both", "specific", "wildcard", "wildcard", "copied", LOSSY, STARVED),
        cases=(
            *(
                Case(Kernel(preferred=side), word, {"pair": pair, "position": position})
                for pair, sides in SIDES.items()
                for side, word in enumerate(sides)
                for position in ("first", "last", "both")
            ),
            Case(SCALED, "both:0.54"),
            Case(SCALED, "both:0.51", {"position": "both"}),
            Case(NEWEST, "newest", {"position": "both"}),
            Case(Kernel(oldest), "oldest", {"position": "both"}),
            Case(Kernel(copies), "copied", {"protocol": "udp", "position": "both"}),
            Case(Kernel(lossy), "lossy", {"position": "both"}, state=State.INCONCLUSIVE),
            Case(
                Kernel(newest, crossing="EADDRINUSE"),
                "one-order:EADDRINUSE",
                {"position": "both"},
            ),
            Case(
                Kernel(newest, crossing="EACCES"),
                "with wildcard bound first the other is refused: bind EACCES; with specific bound"
                " first: wildcard",
                {"position": "both"},
                state=State.NOT_APPLICABLE,
            ),
            Case(Kernel(refused="EADDRINUSE"), "refused:EADDRINUSE"),
            Case(Kernel(refused="EADDRINUSE"), "refused:EADDRINUSE", {"position": "both"}),
            Case(
                Kernel(refused="EACCES"),
                "listener 4 of 4 was refused: bind EACCES",
                state=State.NOT_APPLICABLE,
            ),
            Case(Kernel(newest), "wildcard", {"position": "first"}),
            Case(Kernel(newest), "specific", {"position": "last"}),
            Case(Kernel(copies), "copied", {"protocol": "udp"}),
            Case(Kernel(lossy), "lossy", state=State.INCONCLUSIVE),
        ),
    ),
    "confined": Simulated(
        confined,
        ("both", "both", "newest", "oldest", "oldest", "copied", LOSSY, STARVED),
        cases=(
            Case(SCALED, "both:0.51"),
            Case(Kernel(preferred=0), "outside"),
            Case(Kernel(preferred=0, bystander="ECONNREFUSED"), "apart"),
            Case(Kernel(preferred=0, bystander="timeout"), "apart", {"protocol": "udp"}),
            Case(Kernel(later_loss, preferred=0), "those inside", state=State.INCONCLUSIVE),
            Case(Kernel(preferred=1), "inside"),
            Case(NEWEST, "newest"),
            Case(Kernel(oldest), "oldest"),
            Case(Kernel(copies), "copied", {"protocol": "udp"}),
            Case(Kernel(lossy), "lossy", state=State.INCONCLUSIVE),
            Case(Kernel(crossing="EADDRINUSE"), "one-order:EADDRINUSE"),
            Case(Kernel(refused="EPERM"), "refused:EPERM", {"listeners": "2"}),
            Case(
                Kernel(refused="EPERM"), "listener 2 of 4 was refused", state=State.NOT_APPLICABLE
            ),
        ),
    ),
    "group-limit": Simulated(
        group_limit,
        ("all", "all", "one", "one", "deaf", "copied", LOSSY, STARVED),
        {"flows": "1600", "sockets": "64"},
        cases=(
            Case(SCALED, "all", HUNDREDS),
            Case(Kernel(modulo), "all", HUNDREDS),
            Case(Kernel(limit=256), "deaf:44/300", HUNDREDS),
            Case(Kernel(idle_half), "deaf:150/300", HUNDREDS),
            Case(Kernel(limit=256, refused="ENOBUFS"), "refused:44/300", HUNDREDS),
            Case(NEWEST, "one", HUNDREDS),
            Case(Kernel(copies), "copied", {**HUNDREDS, "protocol": "udp", "flows": "400"}),
            Case(Kernel(lossy), "lossy", HUNDREDS, state=State.INCONCLUSIVE),
            Case(Kernel(limit=299), "may be chance", HUNDREDS, state=State.INCONCLUSIVE),
            Case(SCALED, "may be chance", {**HUNDREDS, "flows": "400"}, state=State.INCONCLUSIVE),
        ),
    ),
    "datagrams": Simulated(
        datagrams,
        ("balanced", "balanced", "newest", "oldest", "skewed", "copied", LOSSY, STARVED),
        {"protocol": "udp"},
        cases=(
            *(
                Case(kernel, word, {"protocol": "udp", "source": "one-sender"})
                for kernel, word in (
                    (SCALED, "by-sender"),
                    (NEWEST, "newest"),
                    (Kernel(oldest), "oldest"),
                    (Kernel(second), "one"),
                    (Kernel(modulo), "by-sender"),
                    (Kernel(turns), "balanced"),
                    (Kernel(copies), "copied"),
                )
            ),
            Case(Kernel(copies), "copied", {**CONFIRM_UDP, "delivery": "multicast"}),
            Case(FOLLOWING, "last-sender", {**CONFIRM_UDP, "source": "one-sender"}),
            Case(FOLLOWING, "last-sender", {**CONFIRM_UDP, "source": "many-addresses"}),
            Case(BY_ADDRESS, "by-address", {**CONFIRM_UDP, "source": "many-ports"}),
            Case(BY_ADDRESS, "balanced", {**CONFIRM_UDP, "source": "many-addresses"}),
            Case(SCALED, "balanced", {"protocol": "udp", "source": "many-addresses"}),
            Case(Kernel(idle_half), "skewed", {"protocol": "udp"}),
        ),
    ),
}
