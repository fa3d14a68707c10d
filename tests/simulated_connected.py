"""An agent's answers on a simulated kernel to `connected`: a socket for each client."""

from collections.abc import Mapping

from simulated_kernels import (
    OWN,
    Kernel,
    copies,
    half_lost,
    leaky,
    lossy,
    newest,
    oldest,
    piled,
    salted,
)
from simulated_trial import LOSSY, SCALED, STARVED, TURNS, Case, Simulated, Trial

from harness.model import State
from harness.scenarios.connected import REPEATED_MS

TCP = {"sockets": "20"}

UDP = {**TCP, "protocol": "udp"}

EARLY = {**UDP, "connecting": "before"}


def connected(trial: Trial) -> None:
    """Ask the other clients with and without sockets that are connected to some."""
    count, kernel = trial.listeners, trial.kernel
    if not all(trial.stand(index) for index in range(count)):
        return
    clients = int(trial.parameters.get("sockets", "300")) - count
    own, ports = trial.ports(clients), trial.ports()
    trial.phase("met", own, trial.serve(own))
    trial.phase("before", ports, trial.serve(ports))
    trial.phase("again", ports, trial.serve(ports))
    if not all(joined(trial, what) for what in attempts(trial)):
        return
    choose = kernel.beside or kernel.choose
    trial.phase("after", ports, [choose(port, i, trial.group) for i, port in enumerate(ports)])
    if kernel.hold > REPEATED_MS:  # the first flows needed a second SYN
        took = trial.lines[-1]["took"]
        assert isinstance(took, list)
        took[:16] = [kernel.hold] * 16
    if trial.parameters.get("protocol") == "udp":
        reached = [count + i if kernel.own == OWN else kernel.own for i in range(clients)]
        trial.phase("own", own, reached)
        trial.leave(count // 2, "kill")
        trial.phase("own-left", own, reached)


def attempts(trial: Trial) -> tuple[str, ...]:
    early = trial.parameters.get("connecting") == "before"
    return ("connects", "stands") if early else ("connects",)


def joined(trial: Trial, what: str) -> bool:
    """Say whether the sockets connect, or the listeners stand beside them."""
    refused, call, error = trial.kernel.connecting or ("", "", "")
    hit = what == refused
    trial.say("attempt", what=what, call=call if hit else None, error=error if hit else None)
    return not hit


CONNECTED: Mapping[str, Simulated] = {
    "connected": Simulated(
        connected,
        (*["unaffected"] * 5, "several members", LOSSY, STARVED),
        UDP,
        cases=(
            Case(SCALED, "unaffected", UDP),
            Case(SCALED, "unaffected", EARLY),
            Case(SCALED, "unaffected", TCP),
            Case(Kernel(beside=salted), "moved", UDP),
            Case(Kernel(newest, beside=oldest), "moved", UDP),
            Case(Kernel(beside=piled), "concentrated", UDP),
            Case(Kernel(beside=newest), "concentrated", TCP),
            Case(Kernel(beside=leaky), "strangers", UDP),
            Case(Kernel(own=0), "bypassed", UDP),
            Case(Kernel(own=4), "bypassed", UDP),
            Case(Kernel(own="timeout"), "lossy", UDP, state=State.INCONCLUSIVE),
            Case(Kernel(beside=half_lost), "lost:196/400", UDP),
            Case(Kernel(hold=1100), "delayed:16/400", TCP),
            Case(Kernel(hold=1010, gap=150), "delayed:16/400", TCP),
            Case(Kernel(hold=1010, gap=1010), "unaffected", TCP),  # the guest may have slept
            Case(Kernel(hold=1100), "unaffected", UDP),
            Case(Kernel(beside=lossy), "lossy", TCP, state=State.INCONCLUSIVE),
            Case(Kernel(beside=copies), "several members", UDP, state=State.INCONCLUSIVE),
            Case(TURNS, "4-tuple", {**TCP, "flows": "398"}, state=State.INCONCLUSIVE),
            Case(
                Kernel(connecting=("connects", "connect", "EOPNOTSUPP")), "refused:EOPNOTSUPP", TCP
            ),
            Case(
                Kernel(connecting=("connects", "socket", "EMFILE")),
                "socket EMFILE",
                TCP,
                state=State.NOT_APPLICABLE,
            ),
            Case(Kernel(connecting=("stands", "bind", "EADDRINUSE")), "blocked:EADDRINUSE", EARLY),
        ),
    )
}
