"""An agent's answers on a simulated kernel whose groups are steered by a program."""

from collections.abc import Mapping, Sequence

from simulated_kernels import GONE, Group, Kernel, lossy, newest, turns
from simulated_trial import LOSSY, SCALED, STARVED, TURNS, Case, Simulated, Trial

from harness.model import State
from harness.wire.observation import Fate

SWAP, MAPPED = Kernel(swap=True), Kernel(mapped=True)

CPU = {"program": "cpu"}


def steering(trial: Trial) -> None:
    """Steer by the port, or by the CPU of the clients."""
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    trial.phase("home", ports, trial.serve(ports))
    trial.say("change", what="steer", member=0, at=40, error=None)
    if trial.parameters.get("program") == "cpu":
        for cpu, phase in enumerate(("steered", "other-cpu")):
            trial.phase(phase, ports, on_cpu(trial, ports, cpu))
        return
    sequel = trial.parameters.get("then", "nothing")
    places = trial.listeners + (sequel == "beyond")
    trial.phase("steered", ports, steered(trial, ports, list(range(trial.listeners)), places))
    if sequel == "detach":
        trial.say("change", what="detach", member=0, at=50, error=None)
        gone = trial.kernel.detaches
        slots = [] if gone else list(range(trial.listeners))
        trial.phase("after", ports, steered(trial, ports, slots, places))
    elif sequel not in ("nothing", "beyond"):
        changed(trial, ports, sequel)


def changed(trial: Trial, ports: Sequence[int], sequel: str) -> None:
    """Let members join and leave; `slots` are those at the places that the program can name."""
    kernel, count = trial.kernel, trial.listeners
    slots: Group = list(range(count))
    if sequel != "leave":
        trial.stand(count)
        trial.say("change", what="join", member=count, at=50, error=None)
    if sequel != "join":
        trial.leave(0, "close")
        slots = [GONE, *slots[1:]] if kernel.mapped else trial.standing()
    trial.phase("after", ports, steered(trial, ports, slots, count))
    if sequel == "join":
        trial.say("change", what="widen", member=0, at=60, error=None)
        slots = slots if kernel.ignores_newcomers else [*slots, count]
        trial.phase("wider", ports, steered(trial, ports, slots, count + 1))


def steered(trial: Trial, ports: Sequence[int], slots: Group, places: int) -> list[Fate]:
    """Return who serves; a place without a member is served by the kernel's own choice."""
    kernel, fates = trial.kernel, trial.serve(ports)
    if not kernel.follows_program:
        return fates
    for i, port in enumerate(ports):
        place = port % places
        if place < len(slots) and slots[place] != GONE:
            fates[i] = slots[place]
        elif kernel.unnamed is not None:
            fates[i] = kernel.unnamed
    return fates


def on_cpu(trial: Trial, ports: Sequence[int], cpu: int) -> list[Fate]:
    """Return who serves clients of this CPU: the members of their CPU, if the kernel asks."""
    if trial.kernel.follows_program:
        trial.group = [index for index in range(trial.listeners) if index % 2 == cpu]
    return trial.serve(ports)


def then(word: str) -> Mapping[str, str]:
    return {"then": word}


STEERED: Mapping[str, Simulated] = {
    "steering": Simulated(
        steering,
        (*["as-steered"] * 6, LOSSY, STARVED),
        cases=(
            Case(SCALED, "as-steered"),
            Case(Kernel(newest), "as-steered", {"protocol": "udp"}),
            *(
                Case(Kernel(follows_program=False), "ignored", then(word))
                for word in ("nothing", "leave")
            ),
            Case(SCALED, "as-hash", then("beyond")),
            Case(Kernel(unnamed="ECONNREFUSED"), "lost:68/68", then("beyond")),
            Case(Kernel(unnamed=1), "no one rule", then("beyond"), State.INCONCLUSIVE),
            Case(SWAP, "newcomers-starve", then("join")),
            Case(MAPPED, "newcomers-starve", then("join")),
            Case(
                Kernel(ignores_newcomers=True, unnamed=2),
                "no one rule",
                then("join"),
                State.INCONCLUSIVE,
            ),
            *(Case(SWAP, "renumbered", then(word)) for word in ("leave", "restart")),
            *(Case(SCALED, "moved-up", then(word)) for word in ("leave", "restart")),
            *(Case(MAPPED, "as-hash", then(word)) for word in ("leave", "restart")),
            Case(Kernel(mapped=True, unnamed="timeout"), "lost:107/400", then("leave")),
            Case(Kernel(mapped=True, unnamed=1), "no one rule", then("leave"), State.INCONCLUSIVE),
            Case(SCALED, "as-hash", then("detach")),
            Case(Kernel(detaches=False), "as-steered", then("detach")),
            Case(SCALED, "as-steered", CPU),
            Case(Kernel(newest), "as-steered", CPU),
            Case(Kernel(follows_program=False), "ignored", CPU),
            Case(TURNS, "as-steered", CPU),
            Case(
                Kernel(turns, follows_program=False),
                "neither the CPU nor the hash",
                {**CPU, "flows": "398"},
                State.INCONCLUSIVE,
            ),
            Case(SCALED, "too few", {**CPU, "flows": "12"}, State.INCONCLUSIVE),
            Case(Kernel(lossy), "were not served", CPU, State.INCONCLUSIVE),
            Case(Kernel(lossy), "before there was a program", state=State.INCONCLUSIVE),
            Case(SCALED, "too few", {"flows": "8"}, State.INCONCLUSIVE),
        ),
    ),
}
