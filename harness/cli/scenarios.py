"""`scenarios`: lists the questions that a kernel is asked, and the words of the verdicts."""

from collections.abc import Mapping, Sequence

import click

from harness.cli.table import write_json
from harness.model import Depth
from harness.report.grades import GLYPHS
from harness.scenarios import CATALOGUE
from harness.scenarios.scenario import Scenario

EPILOG = """\b
Examples:
  reuseport-matrix scenarios
  reuseport-matrix scenarios --json
  reuseport-matrix explain failure-queued     what its words mean for a server
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="A list of id, sentence, words, grades, …")
def scenarios(as_json: bool) -> None:
    """List the questions that each kernel is asked, their verdicts, axes and numbers of cells."""
    if not as_json:
        for scenario in CATALOGUE.values():
            _scenario(scenario)
        return
    write_json(
        [
            {
                "id": scenario.id,
                "sentence": scenario.sentence,
                "words": list(scenario.words),
                "grades": {word: sense.grade for word, sense in scenario.words.items()},
                "axes": _axes(scenario),
                "cells": {depth.value: len(scenario.cells(depth)) for depth in Depth},
            }
            for scenario in CATALOGUE.values()
        ]
    )


def _scenario(scenario: Scenario) -> None:
    cells = {depth: len(scenario.cells(depth)) for depth in Depth}
    counts = ", ".join(f"{depth} {count}" for depth, count in cells.items())
    if not any(cells.values()):
        counts = "those of the servers that `run --server NAME` names"
    click.echo(f"{scenario.id}\n  {scenario.sentence}")
    click.echo("  verdicts:")
    widest = max(map(len, scenario.words))
    for word, sense in scenario.words.items():
        click.echo(f"    {GLYPHS[sense.grade]} {word:{widest}}  {sense.happened}")
    click.echo(f"  cells: {counts}")
    for axis, values in _axes(scenario).items():
        click.echo(f"    {axis}: {', '.join(values)}")


def _axes(scenario: Scenario) -> Mapping[str, Sequence[str]]:
    """Return the values of each axis in the full catalogue."""
    found: dict[str, dict[str, None]] = {}
    for cell in scenario.cells(Depth.FULL):
        for axis, value in cell.points:
            found.setdefault(axis, {})[value] = None
    return {axis: tuple(values) for axis, values in found.items()}
