"""An agent's answers on a simulated kernel: handshakes held while a member fails or joins."""

from collections.abc import Mapping, Sequence

from simulated_kernels import HEIR, OWN, Kernel, walked
from simulated_trial import NEWEST, NOT_SHUT, SCALED, UNCLEAR, Case, Simulated, Trial

from harness.model import State
from harness.wire.observation import Fate

ROUNDS = {"round": "24"}

SEARCHING = Kernel(walked, searches=True)


def failure_handshake(trial: Trial) -> None:
    if "round" in trial.parameters:
        handshakes_in_rounds(trial)
        return
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports = trial.ports()
    victim = trial.victim(trial.phase("home", ports, trial.serve(ports)))
    trial.phase("held", ports, ["open"] * len(ports))
    owners = trial.serve(ports)
    trial.leave(victim, trial.parameters.get("failure", "kill"))
    instead = trial.serve(ports)
    fate = trial.kernel.half_open
    fates = zip(owners, instead, strict=True)
    heirs = [other if fate == HEIR else victim if fate == OWN else fate for _, other in fates]
    fates = zip(owners, heirs, strict=True)
    trial.phase("fates", ports, [heir if owner == victim else owner for owner, heir in fates])


def handshakes_in_rounds(trial: Trial) -> None:
    """Answer as if in one round, but with one change for each round, as an agent does."""
    joins = trial.parameters.get("change") == "join"
    repeats = trial.parameters.get("ack") == "after-repeat"
    if not all(trial.stand(index) for index in range(trial.listeners)):
        return
    ports, everything = trial.ports(), ["open"] * trial.flows
    home = trial.serve(ports)
    victim = trial.listeners if joins else trial.victim(home)
    phases: list[tuple[str, Sequence[Fate]]] = [("home", home), ("control-held", everything)]
    phases += [("control-repeated", everything)] * repeats
    phases += [("control", forgotten(trial, trial.serve(ports))), ("held", everything)]
    owners, rounds = trial.serve(ports), -(-trial.flows // int(trial.parameters["round"]))
    change_in_round(trial, victim)
    for at in range(1, rounds):
        trial.say("change", what="again", member=victim, at=50 + at, error=None)
    trial.say("attempt", what="again", call=None, error=None)
    phases += [("repeated", everything)] * repeats
    phases.append(("fates", forgotten(trial, acknowledged(trial, ports, owners, victim))))
    for name, fates in phases:
        later = {"control": 60, "fates": trial.kernel.hold}.get(name, 0)
        trial.phase(name, ports, fates, later)
    trial.say("fact", name="slow-rounds", value=0)


def change_in_round(trial: Trial, victim: int) -> None:
    """Let a member join or leave, or as many join as there are before the old ones leave."""
    change = trial.parameters.get("change")
    if change == "join":
        trial.stand(victim)
        trial.say("change", what="join", member=victim, at=50, error=None)
    elif change == "replace":
        for index in range(trial.listeners):
            trial.stand(trial.listeners + index)
        trial.group = trial.group[trial.listeners :]
        trial.say("change", what="replace", member=0, at=50, error=None)
    else:
        trial.leave(victim, trial.parameters.get("failure", "kill"))


def acknowledged(
    trial: Trial, ports: Sequence[int], owners: Sequence[Fate], gone: int
) -> list[Fate]:
    """Return what becomes of handshakes that were with these when the ACK comes."""
    kernel, fates = trial.kernel, list[Fate]()
    repeated = kernel.repeated if trial.parameters.get("ack") == "after-repeat" else None
    for owner, now in zip(owners, trial.serve(ports), strict=True):
        fate = repeated or kernel.half_open
        if owner == gone or owner not in trial.group:
            fates.append(now if fate == HEIR else gone if fate == OWN else fate)
        else:
            found = now if kernel.looks_up else owner
            fates.append("ECONNRESET" if kernel.searches and now != owner else found)
    return fates


def forgotten(trial: Trial, fates: Sequence[Fate]) -> list[Fate]:
    lost = trial.kernel.forgetting
    return [lost if lost is not None and i % 10 == 0 else fate for i, fate in enumerate(fates)]


HANDSHAKES: Mapping[str, Simulated] = {
    "failure-handshake": Simulated(
        failure_handshake,
        (*["reset"] * 5, *UNCLEAR),
        ROUNDS,
        cases=(
            Case(SCALED, "reset"),
            Case(NEWEST, "reset"),
            NOT_SHUT,
            Case(Kernel(half_open=HEIR), "completed", {"ack": "after-repeat"}),
            Case(Kernel(half_open=OWN), "kept"),
            Case(Kernel(half_open="timeout"), "ignored"),
            Case(Kernel(half_open="open"), "stranded"),
            Case(Kernel(half_open="eof"), "closed"),
            Case(SCALED, "reset", ROUNDS),
            Case(SEARCHING, "collapsed:179/310", ROUNDS),
            Case(SEARCHING, "collapsed:179/310", {**ROUNDS, "ack": "after-repeat"}),
            Case(SEARCHING, "reset", {**ROUNDS, "member": "first"}),
            Case(SEARCHING, "collapsed:269/300", {**ROUNDS, "member": "last"}),
            Case(SEARCHING, "collapsed:380/400", {**ROUNDS, "change": "join"}),
            Case(SCALED, "kept", {**ROUNDS, "change": "join"}),
            Case(SCALED, "reset", {**ROUNDS, "change": "replace"}),
            Case(NEWEST, "reset", {**ROUNDS, "change": "replace"}),
            Case(Kernel(half_open=HEIR), "completed", {**ROUNDS, "change": "replace"}),
            Case(Kernel(half_open=HEIR, repeated="ECONNRESET"), "completed", ROUNDS),
            Case(
                Kernel(half_open=HEIR, repeated="ECONNRESET"),
                "reset",
                {**ROUNDS, "ack": "after-repeat"},
            ),
            Case(Kernel(half_open=OWN), "kept", ROUNDS),
            Case(NEWEST, "reset", ROUNDS),
            *(
                Case(Kernel(forgetting=fate), "while nobody failed", ROUNDS, State.INCONCLUSIVE)
                for fate in ("timeout", "ECONNRESET", "eof")
            ),
            Case(Kernel(hold=900), "too slow: 400 of 400", ROUNDS, State.INCONCLUSIVE),
            Case(Kernel(hold=900), "reset", {**ROUNDS, "ack": "after-repeat"}),
        ),
    ),
}
