"""`scenarios` and `doctor`: what is asked, what this machine has, and what it lacks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from harness.cli.exit import Exit, complain
from harness.cli.table import write_json, write_table

if TYPE_CHECKING:
    from harness.providers.diagnosis import Diagnosis
    from harness.scenarios.scenario import Scenario

SCENARIOS_EPILOG = """\b
Examples:
  reuseport-matrix scenarios
  reuseport-matrix scenarios --json
"""

DOCTOR_EPILOG = """\b
Examples:
  reuseport-matrix doctor
  reuseport-matrix doctor --install    with this system's package manager; says what it runs
  reuseport-matrix doctor --install --with vagrant
"""


@click.command(epilog=SCENARIOS_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="A list of id, sentence, words, axes, cells.")
def scenarios(as_json: bool) -> None:
    """List what is asked of a kernel, the words of its verdicts, and how many cells that makes."""
    from harness.model import Depth
    from harness.scenarios import CATALOGUE

    if not as_json:
        for scenario in CATALOGUE.values():
            _scenario(scenario)
        return
    write_json(
        [
            {
                "id": scenario.id,
                "sentence": scenario.sentence,
                "words": scenario.words,
                "axes": _axes(scenario),
                "cells": {depth.value: len(scenario.cells(depth)) for depth in Depth},
            }
            for scenario in CATALOGUE.values()
        ]
    )


def _scenario(scenario: "Scenario") -> None:
    from harness.model import Depth

    counts = ", ".join(f"{depth} {len(scenario.cells(depth))}" for depth in Depth)
    click.echo(f"{scenario.id}\n  {scenario.sentence}")
    click.echo(f"  verdicts: {', '.join(scenario.words)}\n  cells: {counts}")
    for axis, values in _axes(scenario).items():
        click.echo(f"    {axis}: {', '.join(values)}")


def _axes(scenario: "Scenario") -> Mapping[str, Sequence[str]]:
    """Return the values of each axis, as far as the full catalogue goes along it."""
    from harness.model import Depth

    found: dict[str, dict[str, None]] = {}
    for cell in scenario.cells(Depth.FULL):
        for axis, value in cell.points:
            found.setdefault(axis, {})[value] = None
    return {axis: tuple(values) for axis, values in found.items()}


@click.command(epilog=DOCTOR_EPILOG)
@click.option("--install", "do_install", is_flag=True, help="Install what is missing.")
@click.option(
    "--with",
    "extras",
    multiple=True,
    type=click.Choice(["vagrant", "tests"]),
    help="Also Vagrant and libvirt, or what the live tests need.",
)
@click.option("--json", "as_json", is_flag=True, help="The findings as data.")
def doctor(do_install: bool, extras: Sequence[str], as_json: bool) -> int:
    """Test this machine's hypervisor and accelerators, and say what is missing.

    With --install, what is missing is installed with the system's package manager; each command
    is shown before it runs. Without the rights for it, the command is shown and the exit status is
    0 all the same: what needs nothing can still be measured.
    """
    from harness.machine.places import Places
    from harness.providers.diagnosis import examine, install
    from harness.run.progress import speaking

    places = Places.of_user()
    with speaking(verbose=True):
        diagnosis = examine(places, extras)
        if do_install and diagnosis.command:
            outcome = install(diagnosis)
            if outcome.why is not None:
                complain(f"not everything was installed: {outcome.why}")
            diagnosis = examine(places, extras)
    if as_json:
        write_json(diagnosis)
    else:
        _diagnosis(diagnosis)
    return Exit.OK


def _diagnosis(diagnosis: "Diagnosis") -> None:
    click.echo(f"{diagnosis.system}, Python {diagnosis.python}")
    write_table(
        [
            (tool.name, tool.version or tool.path or "missing", tool.purpose)
            for tool in diagnosis.tools
        ]
    )
    tried = [(trial.accelerator, trial.why or "works") for trial in diagnosis.accelerators]
    if tried:
        click.echo("accelerators, each tried by a short boot:")
        write_table(tried)
    if diagnosis.command:
        complain(
            "something is missing", hint=f"doctor --install, or: {' '.join(diagnosis.command)}"
        )
