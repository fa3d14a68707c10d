"""An agent's answers about a server that restarts under load, as servers do it well or badly."""

from collections.abc import Mapping

from simulated_kernels import Kernel, lossy
from simulated_trial import LOSSY, SCALED, STARVED, Case, Simulated, Trial

from harness.model import State
from harness.wire.observation import Fate

RATE = 500
"""Connections a second."""

APART = 400
"""ms from one restart to the next, of which there are `rounds`."""

LOSE = {
    "refuses": "ECONNREFUSED",
    "resets": "ECONNRESET",
    "closes": "eof",
    "fails": "failed",
    "strands": "open",
    "vanishes": "EHOSTUNREACH",
}
"""What the clients of a bad server meet in the first ms after a restart began."""


def restart(trial: Trial) -> None:
    """Play the server that the question names."""
    server = trial.parameters.get("server", "good")
    if server in ("dies", "mute"):
        error = {"dies": "ECHILD", "mute": "ETIMEDOUT"}[server]
        trial.say("fact", name="said", value="line 2:\n\n  no such directive\n")
        trial.say("attempt", what="start", call="answer", error=error)
        return
    trial.say("attempt", what="start", call=None, error=None)
    trial.say("fact", name="capacity", value=RATE * 5)
    trial.say("fact", name="rate", value=RATE)
    control = trial.ports(100)
    trial.group = [0]
    # Who is served makes no difference, but whether somebody is.
    fates = trial.serve(control)
    trial.phase("control", control, [one if isinstance(one, str) else 0 for one in fates])
    rounds = 0 if server == "slow-to-restart" else int(trial.parameters.get("rounds", "3"))
    for index in range(1, rounds + 1):
        for what, later in (("restart", 0), ("restarted", 50)):
            at = index * APART + later
            trial.say("change", what=what, member=index, at=at, error=None)
    if server == "endless":
        trial.say("fact", name="uncovered", value=1)
    if server == "broken":
        trial.say("fact", name="failed", value="restart 1, step 2 (run x -s reload): status 1")
    stream(trial, server, rounds)
    kept = [rounds] * 15 + (["ECONNRESET"] if server == "cuts" else [rounds])
    trial.say("fact", name="restarts", value=rounds)
    trial.phase("kept", trial.ports(16), kept)
    trial.say("fact", name="generations", value=1)


def stream(trial: Trial, server: str, rounds: int) -> None:
    """Say what became of the new connections; a restart takes 20 ms."""
    step = 1000 // RATE
    started = list(range(0, (rounds + 1) * APART, step))
    fates: list[Fate] = []
    took: list[int] = []
    for began in started:
        generation, since = divmod(began, APART)
        hurt = bool(generation) and since < 20
        away = bool(generation) and since < 320
        served: Fate = max(0, generation - 1) if hurt else generation
        fates.append(LOSE.get(server, served) if hurt else served)
        took.append(260 if hurt and server == "stalls" else 3)
        if server == "never" or (server == "stops" and away):
            fates[-1] = "ECONNREFUSED"
    ports = [10000 + index for index, _ in enumerate(started)]
    trial.say("flows", phase="restarts", fates=fates, ports=ports, started=started, took=took)


def asked(server: str) -> Mapping[str, str]:
    return {"server": server, "restart": "reload", "traffic": "heavy", "rounds": "3"}


def unclear(server: str, why: str) -> Case:
    return Case(SCALED, why, asked(server), State.INCONCLUSIVE)


RESTARTED: Mapping[str, Simulated] = {
    "restart": Simulated(
        restart,
        # It is about a server: who is served by the kernel's choice makes no difference.
        (*["lossless"] * 6, LOSSY, STARVED),
        asked("good"),
        cases=(
            Case(SCALED, "lossless", asked("good")),
            Case(SCALED, "lossless", asked("cuts")),
            Case(SCALED, "refused:30/800", asked("refuses")),
            Case(SCALED, "reset:30/800", asked("resets")),
            Case(SCALED, "closed:30/800", asked("closes")),
            Case(SCALED, "failed:30/800", asked("fails")),
            Case(SCALED, "lost:30/800", asked("strands")),
            Case(SCALED, "lost:30/800", asked("vanishes")),
            Case(SCALED, "delayed:30/800", asked("stalls")),
            Case(SCALED, "down:322", asked("stops")),
            unclear("never", "nobody was served"),
            unclear("dies", "it ended when it was started; it said: line 2:; no such directive"),
            unclear("mute", "it did not answer in time; it said: line 2:; no such directive"),
            unclear("broken", "restart 1, step 2 (run x -s reload): status 1"),
            unclear("endless", "a restart went on after the last connection"),
            unclear("slow-to-restart", "it was not restarted"),
            Case(Kernel(lossy), "before any restart", asked("good"), State.INCONCLUSIVE),
        ),
    ),
}
