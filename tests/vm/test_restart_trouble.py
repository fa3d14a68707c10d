"""`restart` with servers that misbehave, steps that fail, and plans that are wrong."""

import signal
import subprocess
from pathlib import Path

import pytest
from restart_asked import (
    Plan,
    answered,
    assert_nothing_is_left,
    command,
    environment,
    fickle,
    in_namespace,
    question,
    servers,
)
from test_agent_targets import sanitized  # noqa: F401 - a fixture

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("sanitized")]


@pytest.fixture(scope="module")
def agent(sanitized: Path) -> Path:  # noqa: F811 - the fixture's name
    return in_namespace(sanitized)


@pytest.mark.parametrize(
    ("start", "outcome", "words"),
    [
        ("echo alas; exit 3", ("exec", "ECHILD"), "alas"),
        ("echo done; exit 0", ("exec", "ECHILD"), "done"),
        ("echo 'bind: Address already in use'; exit 1", ("bind", "EADDRINUSE"), "in use"),
        ("echo waiting; exec sleep 77", ("ready", "ETIMEDOUT"), "waiting"),
        (fickle("rubbish"), ("ready", "EPROTO"), "ready to serve"),
        (fickle("error"), ("ready", "EPROTO"), "ready to serve"),
        (fickle("closes"), ("ready", "ECONNRESET"), "ready to serve"),
    ],
)
def test_a_server_that_does_not_get_ready_is_an_answer(
    agent: Path, start: str, outcome: tuple[str, str], words: str
) -> None:
    said = answered(agent, Plan(start, ready=1500))
    assert said.start == outcome
    assert words in said.facts["said"]
    assert said.events("flows") == []


def test_what_it_answered_instead_is_told(agent: Path) -> None:
    assert answered(agent, Plan(fickle("rubbish"), ready=800)).facts["answer"] == "rubbish\n"


def test_its_log_files_are_told(agent: Path) -> None:
    start = "echo out; echo in the file >error.log; exit 1"
    assert answered(agent, Plan(start)).facts["said"] == "out\n\n[error.log]\nin the file\n"


def test_a_flood_of_log_holds_nobody_up(agent: Path) -> None:
    """600 MiB to standard output, and a file that may not grow beyond its limit."""
    said = answered(agent, Plan(fickle("floods")), "flows=300")
    assert {fate for phase in ("control", "restarts") for fate in said.fates(phase)} <= {1, 2, 3, 4}
    assert said.facts["restarts"] == 3


def test_a_server_that_keeps_the_port_is_killed(agent: Path) -> None:
    said = answered(agent, Plan(fickle("stays")))
    assert (said.facts["leftover"], said.facts["port-kept"]) == (1, 1)


@pytest.mark.parametrize(
    ("way", "failed"),
    [
        (["run echo no; exit 4"], "step 1 (run echo no; exit 4): status 4"),
        (["sleep 1", "signal HUP file:none"], "step 2 (signal HUP file:none): ENOENT"),
        (["signal HUP main", "signal HUP worker"], "step 2 (signal HUP worker): ESRCH"),
    ],
)
def test_a_step_that_fails_in_the_rehearsal_is_the_end(
    agent: Path, way: list[str], failed: str
) -> None:
    said = answered(agent, Plan(fickle("good"), way))
    assert said.facts["failed"] == f"rehearsal, {failed}"
    assert said.facts["restarts"] == 0
    assert [len(line["fates"]) for line in said.events("flows")] == [0, 0, 0]


def test_a_step_that_fails_later_ends_the_restarts(agent: Path) -> None:
    way = ["run echo x >>count; test $(wc -l <count) -lt 3 || { echo third; exit 5; }"]
    said = answered(agent, Plan(fickle("good"), way), "flows=3000")
    assert said.facts["failed"].startswith("restart 2, step 1 (run echo x")
    assert said.facts["failed"].endswith("status 5")
    assert "third" in said.facts["said"]
    assert said.facts["restarts"] == 2
    more = [("restart", 2, None), ("given-up", 2, None)]
    changes = [(one["what"], one["member"], one["error"]) for one in said.events("change")]
    assert changes == [("restart", 1, None), ("restarted", 1, None), *more]
    assert said.fates("restarts").keys() == {0}


def test_a_command_that_hangs_is_ended(agent: Path) -> None:
    said = answered(agent, Plan(fickle("good"), ["run sleep 78"]))
    assert said.facts["failed"] == "rehearsal, step 1 (run sleep 78): timed out"


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (["program sh", "program surely-not-here"], "x: no surely-not-here here"),
        (["unsupported x: no such package"], "x: no such package"),
        (["check exit 0", "lacks all", "check exit 1", "lacks some"], "x: some"),
        (["root /surely/not/here"], "no place for a server with a system of its own: "),
    ],
)
def test_what_cannot_be_asked_here_says_why(agent: Path, head: list[str], why: str) -> None:
    said = answered(agent, Plan(fickle("good"), head=head), status=77)
    assert said.events("unsupported")[0]["why"].startswith(why)


def test_an_alarm_clears_everything_away(agent: Path) -> None:
    said = answered(
        agent, Plan(fickle("good")), "flows=20000", "span=60", "alarm=3", ends=signal.SIGALRM
    )
    assert said.events("end") == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_question_that_is_killed_leaves_no_server(agent: Path, number: signal.Signals) -> None:
    start = f"setsid {fickle('good').removeprefix('exec ')} & :"
    Plan(start, ["sleep 10"]).write(agent)
    words = question("flows=20000", "span=60").split()
    with subprocess.Popen(
        command(agent, *words), stdout=subprocess.PIPE, env=environment(agent)
    ) as asked:
        assert asked.stdout is not None
        while b'"change"' not in asked.stdout.readline():
            assert asked.poll() is None
        assert len(servers(agent)) == 1
        asked.send_signal(number)
        asked.communicate(timeout=10)
    assert_nothing_is_left(agent)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "line 1: the plan has no end"),
        (b"plan 2\n", "line 1: a plan begins with: plan 1"),
        (b"plan 1\nprotocol smtp\n", "line 2: no such protocol"),
        (b"plan 1\nfile a 5\nabc\n", "line 2: the bytes do not end where the line says"),
        (b"plan 1\nfile ../a 1\nb\n", "line 2: a file's path is relative to the folder"),
        (b"plan 1\nfile a 3\nb\nc\nway w\nstep fly\n", "line 6: no such step"),
        (b"plan 1\nwhat now\n", "line 2: no such word"),
        (b"plan 1\nway w\nstep signal HUP\n", "line 3: main, second, worker or file:PATH is"),
        (b"plan 1\nstart a\nway w\nend\n", "has no way reload"),
        (b"plan 1\nway reload\nend\n", "it has no start"),
    ],
)
def test_a_bad_plan_is_the_harness_to_blame(agent: Path, text: bytes, why: str) -> None:
    (agent.parent / "server-x").write_bytes(text)
    done = subprocess.run(
        command(agent, *question().split()), capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 99
    assert why in done.stderr.decode()


def test_names_that_would_leave_the_folder_are_refused(agent: Path) -> None:
    for word in ("server=../x", "server=", "restart=a/b", f"server={'x' * 41}", "kept=65"):
        done = subprocess.run(command(agent, "restart", word), capture_output=True, timeout=20)
        assert done.returncode == 64
