"""What a command loads before it answers: the start of every command is a wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

HELP = {"harness", "harness.cli", "harness.cli.exit", "harness.cli.streams", "harness.errors"}
HELP |= {"harness.text"}
"""Every module of the harness that `--help` may load."""

GUESTS = {"agent", "cli", "clocks", "deadline", "errors", "guests", "leases", "machine", "model"}
GUESTS |= {"protocols", "providers", "run", "text", "transport", "wire"}
"""The parts of the harness that `guests` may load: it asks the providers, and judges nothing."""

RUN = {"cli", "names", "nearest", "progress"}
"""What of `harness.run` a list of guests takes: no plan, no engine."""

SEEN = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from harness.cli import main
main(sys.argv[1:])
"""


def loaded(*arguments: str) -> set[str]:
    """Return the modules of the harness that a command has loaded when it ends."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SEEN, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = done.stderr.splitlines()[-1].split()
    return {name for name in names if name.partition(".")[0] == "harness"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_six_modules(arguments: list[str]) -> None:
    more = {"harness.machine", "harness.machine.places", "harness.machine.version"}
    assert loaded(*arguments) == HELP | (more if arguments == ["--version"] else set())


def test_guests_loads_neither_what_measures_nor_what_judges() -> None:
    found = loaded("guests", "--json") - {"harness"}
    assert {name.split(".")[1] for name in found} == GUESTS
    assert {name.split(".")[2] for name in found if name.startswith("harness.run.")} <= RUN


@pytest.mark.parametrize("command", ["run", "shell", "exec"])
def test_help_of_a_command_that_boots_guests_loads_none_of_that(command: str) -> None:
    parts = {name.split(".")[1] for name in loaded(command, "--help") - {"harness"}}
    assert parts <= {"cli", "errors", "model", "text"}
