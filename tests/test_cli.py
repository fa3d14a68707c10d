"""The command line: exit statuses, output streams, and that no measured cell is ever lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import FakeProvider, FakeTransport, reply
from msgspec import Struct

from harness import leases, providers
from harness.cli import COMMANDS, main
from harness.errors import GuestLostError, Phase
from harness.leases import Login, Undo
from harness.machine.places import Places
from harness.model import word

ROOT = Path(__file__).parent.parent

ONE = ("--scenario", "distribution", "--out", "run")


class Ended(Struct, frozen=True):
    """A command that ended."""

    status: int
    out: str
    err: str


class Command:
    """The command line in a new folder, with guests `one`, `two` and `three`."""

    def __init__(self, capfd: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._patch = patch
        self.provider = FakeProvider()

    def use(self, provider: FakeProvider) -> None:
        """Let this provider boot every guest."""
        self.provider = provider
        self._patch.setattr(providers, "PROVIDERS", {"host": lambda _: provider})

    def __call__(self, *arguments: str) -> Ended:
        """Run the command with the guests of this folder."""
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = self._capfd.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    def run(self, *arguments: str) -> Ended:
        """Run `run` with a folder of guests."""
        return self("run", "--guests", "guests", *arguments)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # reports heed it; the tests know of 100 columns
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    Path("guests").mkdir()
    Path("agent").write_text("an agent")
    for name, system in (("one", "Plan9"), ("two", "Plan9"), ("three", "Minix")):
        text = f"name: {name}\nsystem: {system}\nhost: {{}}\nagent: {{path: ../agent}}\n"
        Path("guests", f"{name}.yaml").write_text(text)
    made = Command(capfd, monkeypatch)
    made.use(FakeProvider())
    return made


def test_a_run_prints_the_matrix_and_says_where_the_report_is(command: Command) -> None:
    ended = command.run("one", "two", *ONE)
    assert ended.status == 0
    assert "tcp udp · ipv4 · specific" in ended.out
    assert "balanced" in ended.out
    assert "report: run/report.html" in ended.err
    assert "one: boot" in ended.err
    assert "\x1b" not in ended.out + ended.err
    assert {path.name for path in Path("run").iterdir()} == {
        "journal.jsonl",
        "junit.xml",
        "matrix.json",
        "report.html",
        "report.md",
        "guests",
    }
    assert (command.provider.up, sorted(command.provider.booted)) == ([], ["one", "two"])


def test_json_on_standard_output_is_matrix_json(command: Command) -> None:
    ended = command.run("one", *ONE, "--json")
    assert ended.out == Path("run/matrix.json").read_text()
    matrix = json.loads(ended.out)
    assert matrix["guests"]["one"]["provider"] == "fake"
    assert {cell["state"] for cell in matrix["cells"]} == {"measured", "not-applicable"}


REPORTS = ("matrix.json", "junit.xml", "report.html", "report.md")


def test_judging_again_gives_the_same_matrix_and_reports(command: Command) -> None:
    command.run("one", *ONE)
    before = {name: Path("run", name).read_bytes() for name in REPORTS}
    for name in before:
        Path("run", name).unlink()
    assert command("judge", "run").status == 0
    assert {name: Path("run", name).read_bytes() for name in before} == before


def test_reports_come_from_the_file_alone(command: Command, tmp_path: Path) -> None:
    command.run("one", *ONE)
    shown = command("report", "run", "--format", "markdown")
    assert shown.out == Path("run/report.md").read_text()
    assert command("report", "run/matrix.json", "--format", "markdown").out == shown.out
    assert command("report", "run", "--format", "html").out == Path("run/report.html").read_text()
    assert command("report", "run", "-o", "page.txt").out == ""
    assert Path("page.txt").read_text() == command("report", "run").out
    assert "listener 1" in command("report", "run", "--verbose").out


def test_a_page_says_what_changed_since_the_run_before(command: Command) -> None:
    arguments = ("run", "one", "--guests", "guests", "--scenario", "sharing")
    command(*arguments, "--out", "matrix-20260101-000000")
    ended = command(*arguments, "--out", "matrix-20260102-000000")
    page = Path("matrix-20260102-000000/report.html").read_text()
    assert "report: matrix-20260102-000000/report.html" in ended.err
    assert "Since the run before" in page
    assert "Since" not in Path("matrix-20260101-000000/report.html").read_text()
    asked = ("report", "matrix-20260102-000000", "--format", "html")
    assert command(*asked, "--since", "matrix-20260101-000000").out == page
    assert "Since" not in command(*asked).out
    assert command("report", "run", "--since", "run").status == 2


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("run", "hsot"), "no guest is called 'hsot'", "host"),
        (("run", "host", "--scenario", "distributoin"), "'distributoin'", "distribution"),
        (("rnu",), "no command is called 'rnu'", "run"),
        (("run", "--jbos", "2"), "--jbos", "run --help"),
        (("run", "host", "--jobs", "0"), "0", "run --help"),
        (("run", "host", "--baseline", "none.json"), "none.json", "matrix.json"),
        (("run", "host", "--guests", "nowhere"), "nowhere", ""),
        (("run", "host", "--provider", "vmm"), "vmm", "host"),
        (("run", "--resume"), "holds no run to resume", "--out"),
        (("run", "--resume", "--out", "nowhere"), "nowhere", "run"),
        (("judge", "nowhere"), "nowhere/journal.jsonl", "run"),
        (("report", "nowhere"), "nowhere", "matrix.json"),
        (
            ("exec", "plan9", "--guests", "guests", "--", "ls"),
            "matches 2 guests; name one",
            "one two",
        ),
        (("run", "host", "--timeout", "nan"), "nan", "run --help"),
        (("stop", "one"), "'one'", "there is no running guest"),
    ],
)
def test_bad_usage_is_exit_2_with_a_sentence_and_a_hint(
    command: Command, arguments: Sequence[str], error: str, hint: str
) -> None:
    ended = command(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    lines = ended.err.splitlines()
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert hint in "".join(lines[1:])
    assert "Traceback" not in ended.err
    assert not list(Path().glob("matrix-*"))


def test_a_bad_guest_file_is_told_by_file_and_line(command: Command) -> None:
    Path("guests/four.yaml").write_text("name: four\nsystem: Minix\nhots: {}\n")
    ended = command.run("one")
    assert ended.status == 2
    assert "guests/four.yaml:3: " in ended.err


def test_a_guest_asked_for_by_name_that_cannot_start_is_exit_3(command: Command) -> None:
    command.use(FakeProvider(missing=["two"]))
    ended = command.run("one", "two", *ONE)
    assert ended.status == 3
    assert "error: two was not measured: " in ended.err
    assert "no hypervisor for it" in ended.out
    states = {
        (c["guest"], c["state"]) for c in json.loads(Path("run/matrix.json").read_text())["cells"]
    }
    assert ("two", "not-run") in states
    assert ("one", "measured") in states


@pytest.mark.parametrize("name", ["plan9", "all", "available"])
def test_a_guest_that_was_not_named_alone_may_be_missing(command: Command, name: str) -> None:
    command.use(FakeProvider(missing=["two"]))
    assert command.run(name, *ONE).status == 0


def test_a_guest_that_never_boots_is_infrastructure_and_exit_3(command: Command) -> None:
    command.use(FakeProvider(dead=["two"]))
    ended = command.run("all", *ONE)
    assert ended.status == 3
    cells = json.loads(Path("run/matrix.json").read_text())["cells"]
    assert {c["state"] for c in cells if c["guest"] == "two"} == {"infrastructure"}
    assert {c["verdict"] for c in cells if c["guest"] == "two"} == {None}
    assert any(c["verdict"] == "balanced" for c in cells if c["guest"] == "one")
    assert command.provider.up == []


def test_nothing_measured_at_all_is_exit_3(command: Command) -> None:
    command.use(FakeProvider(missing=["one", "two", "three"]))
    assert command.run("all", *ONE).status == 3


def test_a_run_into_a_used_folder_boots_nothing(command: Command) -> None:
    command.run("one", *ONE)
    before = Path("run/journal.jsonl").read_bytes()
    command.use(FakeProvider())
    assert command.run("one", *ONE).status == 2
    Path("mine").mkdir()
    Path("mine/letter").write_text("dear")
    assert command.run("one", "--out", "mine").status == 2
    assert command.provider.booted == []
    assert Path("run/journal.jsonl").read_bytes() == before
    assert [path.name for path in Path("mine").iterdir()] == ["letter"]


def stammer(line: str) -> str:
    """Break off in the middle of every answer except the facts."""
    said = reply(line)
    return said if " facts " in line else said[: len(said) // 2]


def test_resume_asks_only_what_is_missing(command: Command) -> None:
    command.use(FakeProvider(answers={"two": stammer}))
    assert command.run("one", "two", *ONE).status == 3
    command.use(FakeProvider())
    ended = command.run("--resume", "--out", "run")
    assert ended.status == 0
    assert command.provider.booted == ["two"]
    cells = json.loads(Path("run/matrix.json").read_text())["cells"]
    assert {c["state"] for c in cells} == {"measured", "not-applicable"}
    assert max(len(c["repeats"]) for c in cells if c["guest"] == "two") > 1
    assert command.run("--resume", "--out", "run", "--full").status == 2


def test_a_differing_verdict_is_exit_1(command: Command) -> None:
    command.run("one", *ONE)
    assert command.run("one", *ONE[:2], "--baseline", "run").status == 0
    old = json.loads(Path("run/matrix.json").read_text())
    changed = next(cell for cell in old["cells"] if cell["state"] == "measured")
    changed["verdict"] = "newest"
    Path("old.json").write_text(json.dumps(old))
    ended = command.run("one", *ONE[:2], "--baseline", "old.json")
    assert ended.status == 1
    assert "newest before, balanced now" in ended.err


def test_a_share_is_no_part_of_the_word_but_an_errno_is() -> None:
    assert word("reset:10/184") == word("reset:3/100")
    assert word("refused:EADDRINUSE") != word("refused:EACCES")
    assert word("refused:0.25") == word("refused:0.5")


def slowly(line: str) -> str:
    """Take a while for each answer."""
    time.sleep(0.4)
    return reply(line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_guests_and_keeps_what_was_measured(
    command: Command, number: signal.Signals
) -> None:
    command.use(FakeProvider(answers={"two": slowly}))
    threading.Timer(1.0, os.kill, (os.getpid(), number)).start()
    ended = command.run(
        "one",
        "two",
        "--scenario",
        "distribution",
        "--scenario",
        "bound-only",
        "--out",
        "run",
        "--jobs",
        "2",
    )
    assert ended.status == 130
    assert "interrupted" in ended.err
    assert command.provider.up == []
    cells = json.loads(Path("run/matrix.json").read_text())["cells"]
    assert any(c["verdict"] == "balanced" for c in cells if c["guest"] == "one")
    assert {c["state"] for c in cells} >= {"measured", "not-run"}
    assert not any(c["state"] == "infrastructure" for c in cells)


def test_a_run_that_takes_too_long_ends_with_what_it_has(command: Command) -> None:
    command.use(FakeProvider(answers={"two": slowly}))
    ended = command.run("one", "two", *ONE, "--jobs", "2", "--timeout", "1")
    assert ended.status == 3
    assert "--timeout" in ended.err
    assert command.provider.up == []


def test_a_bug_is_not_hidden_and_loses_nothing(command: Command) -> None:
    def buggy(line: str) -> str:
        raise RuntimeError("a bug")

    command.use(FakeProvider(answers={"two": buggy}))
    ended = command.run("one", "two", *ONE, "--jobs", "1")
    assert (ended.status, ended.out) == (70, "")
    last = ended.err.splitlines()[-1]
    assert last.startswith("error: a bug in reuseport-matrix ended it: RuntimeError: a bug; ")
    path = last.partition("the traceback is in ")[2].partition(";")[0]
    assert 'raise RuntimeError("a bug")' in Path(path).read_text()
    assert last.endswith("; please report it")
    assert "Traceback" not in ended.err
    cells = json.loads(Path("run/matrix.json").read_text())["cells"]
    assert any(c["verdict"] == "balanced" for c in cells if c["guest"] == "one")
    assert command.provider.up == []


def test_guests_says_who_starts_each_and_why_nobody_can(command: Command) -> None:
    command.use(FakeProvider(missing=["two"]))
    listed = json.loads(command("guests", "--guests", "guests", "--json").out)
    by_name = {one["name"]: one for one in listed}
    expected = {"name": "one", "system": "Plan9", "provider": "host", "why": None}
    assert by_name["one"] == expected | {"download": None, "others": {}, "addresses": []}
    assert by_name["two"]["provider"] is None
    assert "no hypervisor" in by_name["two"]["why"]
    assert "no hypervisor" in command("guests", "--guests", "guests").out


def test_scenarios_lists_the_catalogue(command: Command) -> None:
    listed = json.loads(command("scenarios", "--json").out)
    text = command("scenarios").out
    assert all(one["id"] in text and one["sentence"] in text for one in listed)
    for one in listed:
        assert all(f" {word} " in text for word in one["words"])
        if one["id"] != "restart":  # it is asked about servers that the user names
            assert {"option", "protocol", "family", "bind"} <= one["axes"].keys()
        for axis, values in one["axes"].items():
            assert f"    {axis}: {', '.join(values)}\n" in text
    assert all(one["cells"]["full"] >= one["cells"]["quick"] for one in listed)
    assert all(one["cells"]["full"] > 0 or one["id"] == "restart" for one in listed)
    assert "those of the servers" in text


def states(text: str) -> dict[str, str]:
    return {one["id"]: one["state"] for one in json.loads(text)}


def test_claims_go_by_the_newest_run_here_or_by_none(command: Command) -> None:
    nothing = command("claims", "--json")
    assert nothing.status == 0
    assert set(states(nothing.out).values()) == {"NOT TESTED"}
    assert "found no run in this folder" in nothing.err
    for name, guest in (("matrix-20260101-120000", "one"), ("matrix-20260102-120000", "two")):
        command.run(guest, *ONE[:2], "--out", name)
    assert "using matrix-20260102-120000" in command("claims").err
    listed = json.loads(command("claims", "--json").out)
    assert {cell["guest"] for one in listed for cell in one["cells"]} == {"two"}


def test_claims_by_files_taken_together_say_which_cells_decided(command: Command) -> None:
    for name, system in (("one", "Linux"), ("two", "NetBSD")):
        command.run(name, *ONE[:2], "--out", name)
        matrix = json.loads(Path(name, "matrix.json").read_text())
        matrix["guests"][name] |= {"system": system, "release": "6.1"}
        Path(name, "matrix.json").write_text(json.dumps(matrix))
    both = command("claims", "one", "two/matrix.json", "--json")
    assert both.err == ""
    assert states(both.out) | {"C2": "CONFIRMED", "C25": "REFUTED"} == states(both.out)
    c2 = next(one for one in json.loads(both.out) if one["id"] == "C2")
    assert {(cell["guest"], cell["verdict"], cell["agrees"]) for cell in c2["cells"]} == {
        ("one", "balanced", True)
    }
    assert states(command("claims", "one", "--json").out)["C25"] == "NOT TESTED"
    assert "C25  REFUTED  NetBSD has no balancing\n" in command("claims", "one", "two").out
    ended = command("claims", "nowhere")
    assert (ended.status, ended.out) == (2, "")
    assert "nowhere" in ended.err


def changed(source: str, target: str, **facts: str) -> None:
    """Copy a run's matrix; change its first verdict and the facts of its guests."""
    matrix = json.loads(Path(source, "matrix.json").read_text())
    next(cell for cell in matrix["cells"] if cell["state"] == "measured")["verdict"] = "newest"
    for known in matrix["guests"].values():
        known |= facts
    Path(target).write_text(json.dumps(matrix))


def test_diff_exits_1_for_a_changed_verdict_and_0_for_anything_else(command: Command) -> None:
    command.run("one", *ONE)
    command.run("one", "two", *ONE[:2], "--out", "more")
    same = command("diff", "run", "more")
    assert (same.status, same.err) == (0, "")
    assert "in the new run only: two (" in same.out
    assert "no verdict changed" in same.out
    changed("run", "old.json")
    ended = command("diff", "old.json", "run")
    assert ended.status == 1
    assert "verdict changed\n  distribution  newest → balanced: " in ended.out
    assert max(map(len, ended.out.splitlines())) <= 100
    page = command("diff", "old.json", "run", "--format", "markdown")
    assert (page.status, page.err) == (1, "")
    assert "| verdict changed | distribution | newest → balanced |" in page.out
    for form in (("--json",), ("--format", "json")):
        data = command("diff", "old.json", "run", *form)
        assert data.status == 1
        assert json.loads(data.out)["counts"]["changed"] == 1


def test_diff_of_one_run_goes_from_release_to_release(command: Command) -> None:
    command.run("one", "two", *ONE)
    matrix = json.loads(Path("run/matrix.json").read_text())
    for name, release in (("two", "6.1.0"), ("one", "6.12")):
        matrix["guests"][name] |= {"system": "Linux", "release": release}
    first = next(cell for cell in matrix["cells"] if cell["state"] == "measured")
    Path("same.json").write_text(json.dumps(matrix))
    first["verdict"] = "newest"
    Path("changed.json").write_text(json.dumps(matrix))
    assert command("diff", "same.json").status == 0
    ended = command("diff", "changed.json")
    assert ended.status == 1
    assert "between two (Linux 6.1.0) and one (Linux 6.12): " in ended.out
    assert "distribution  balanced → newest: " in ended.out
    assert len(json.loads(command("diff", "changed.json", "--json").out)["runs"]) == 1


def test_diff_of_what_has_nothing_in_common_says_so_and_exits_3(command: Command) -> None:
    for name in ("one", "two"):
        command.run(name, *ONE[:2], "--out", name)
    ended = command("diff", "one", "two")
    assert ended.status == 3
    assert "no cell was measured both times" in ended.out
    ended = command("diff", "one")
    assert ended.status == 3
    assert "no two releases of one system" in ended.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ('{"schema": 2, "run": {}, "cells": []}', "schema 2 is newer"),
        ('{"name": "package"}', "not a matrix of reuseport-matrix"),
        ('{"schema": 1, "run": {"id"', "the file is cut off"),
    ],
)
def test_diff_of_a_bad_file_is_exit_2_whichever_it_is(
    command: Command, content: str, message: str
) -> None:
    command.run("one", *ONE)
    Path("bad.json").write_text(content)
    for paths in (("bad.json", "run"), ("run", "bad.json"), ("bad.json",)):
        ended = command("diff", *paths)
        assert (ended.status, ended.out) == (2, "")
        assert "bad.json" in ended.err
        assert message in ended.err
    for wrong in ((), ("run", "run", "run"), ("run", "nowhere")):
        assert command("diff", *wrong).status == 2


def test_exec_ends_with_the_commands_status_and_the_guest(command: Command) -> None:
    assert command("exec", "one", "--guests", "guests", "--", "7").status == 7
    assert command("shell", "one", "--guests", "guests").status == 0
    assert (command.provider.booted, command.provider.up) == (["one", "one"], [])


def test_a_guest_that_does_not_come_up_for_a_visit_shows_its_console(command: Command) -> None:
    command.use(FakeProvider(dead=["one"]))
    ended = command("exec", "one", "--guests", "guests", "--", "7")
    assert (ended.status, ended.out) == (3, "")
    assert "error: no SSH- within 60 s\nconsole: Kernel panic - not syncing\n" in ended.err


def test_a_guest_that_dies_under_a_visit_shows_its_console(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: object) -> int:
        raise GuestLostError(Phase.CONNECT, "the guest went away", console="Kernel panic\n")

    monkeypatch.setattr(FakeTransport, "interactive", dying)
    ended = command("exec", "one", "--guests", "guests", "--", "7")
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.endswith("error: the guest went away\nconsole: Kernel panic\n")


def test_no_command_at_all_is_answered_with_the_help(command: Command) -> None:
    ended = command()
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("Usage: ")
    assert "Examples:" in ended.err


def test_gc_and_stop_with_nothing_to_end_say_nothing(command: Command) -> None:
    assert command("gc") == Ended(0, "", "")
    assert command("stop") == Ended(0, "", "")


def test_parked_guests_stay_until_the_cache_or_they_are_to_go(command: Command) -> None:
    places = Places.of_user()
    for words in (("gc", "--cache"), ("stop", "one")):
        with leases.hold(places, "one") as tenancy:
            tenancy.undone_by(Undo(("true",), 5))
            tenancy.park("key", Login("192.0.2.1", 22, "root", "/key", "ssh-ed25519 AAAA"))
        assert command("gc") == Ended(0, "", "")
        done = command(*words)
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith("ended one, powered off for a later run\n")
        assert leases.leases(places) == ()


def test_a_guest_that_cannot_be_ended_is_exit_3(command: Command) -> None:
    places = Places.of_user()
    with leases.hold(places, "one") as tenancy:
        tenancy.undone_by(Undo(("false",), 5))
        tenancy.keep(Login("192.0.2.1", 22, "root", "/key", "ssh-ed25519 AAAA"))
    assert command("gc").status == 0
    ended = command("stop")
    assert (ended.status, ended.out) == (3, "")
    assert "error: guest one (lease " in ended.err
    assert "It ends by: false" in ended.err


def test_a_damaged_lease_is_exit_3_and_says_what_to_do(command: Command) -> None:
    file = Path("state/reuseport-matrix/leases/x.json")
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    for words in (("gc",), ("stop",), ("stop", "one")):
        ended = command(*words)
        assert ended.status == 3
        assert f"error: {file.absolute()}: not a valid lease (is a pipe, not a file)" in ended.err
        assert "hint: no QEMU of it runs here; delete the file" in ended.err
    file.unlink()
    assert command("stop", "one").status == 2


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself_with_an_example(command: Command, name: str) -> None:
    ended = command(name, "--help")
    assert ended.status == 0
    assert f"reuseport-matrix {name}" in ended.out.split("Examples:")[1]
    assert max(map(len, ended.out.splitlines())) <= 100


def python(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_help_imports_nothing_heavy() -> None:
    done = python("-X", "importtime", "-m", "harness", "run", "--help")
    assert done.returncode == 0
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"rich", "paramiko", "yaml", "psutil", "jinja2", "harness.run.engine"}


def test_a_reader_that_goes_away_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "harness", "scenarios"],
        stdout=write,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_completion_knows_guests_and_scenarios() -> None:
    def complete(words: str) -> list[str]:
        name = "_REUSEPORT_MATRIX_COMPLETE"
        line = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        return python("-m", "harness", **{name: "bash_complete"}, **line).stdout.split()

    assert "plain,host" in complete("reuseport-matrix run ho")
    assert complete("reuseport-matrix run --scenario takeo") == ["plain,takeover"]
