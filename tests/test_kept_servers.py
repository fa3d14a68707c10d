"""The servers' restarts in `docs/report/servers`: a real run, and the README shows its answers."""

import re
from functools import cache

import pytest
from test_kept_report import MACHINE_PATH, ROOT

from harness.machine.resources import servers_folder
from harness.matrix import Matrix
from harness.model import State
from harness.report import server_table
from harness.scenarios import restart
from harness.scenarios.tunables import MIGRATION
from harness.servers import load
from harness.store.runs import load_matrix

KEPT = ROOT / "docs" / "report" / "servers"

README = ROOT / "README.md"

LARGEST = 400_000
"""Bytes."""

UNCLEAR = 0.05
"""At most this share of its cells is inconclusive."""


@cache
def kept() -> Matrix:
    return load_matrix(KEPT)


def shown(matrix: Matrix) -> str:
    """Return what the README shows."""
    return "\n".join(server_table.page(matrix, brief=True))


def test_it_asks_about_nothing_but_restarts_of_servers_that_there_are() -> None:
    known = load([servers_folder()])
    asked = {(cell.axes["server"], cell.axes["restart"]) for cell in kept().cells}
    assert {cell.scenario for cell in kept().cells} == {restart.ID}
    assert all(way in known[name].ways for name, way in asked)
    assert {"nginx", "nginx-reuseport", "haproxy", "gunicorn"} <= {name for name, _ in asked}


def test_it_is_of_a_kernel_without_and_with_migration() -> None:
    settings = {cell.axes.get("tunables", "") for cell in kept().cells}
    assert settings == {"", f"{MIGRATION}=1"}
    assert kept().run.catalogue == "full"


def test_few_of_its_cells_are_inconclusive() -> None:
    states = [cell.state for cell in kept().cells]
    assert set(states) <= {State.MEASURED, State.NOT_APPLICABLE, State.INCONCLUSIVE}
    assert states.count(State.INCONCLUSIVE) <= UNCLEAR * len(states)


def test_what_nginx_loses_is_saved_by_migration() -> None:
    """Fewer workers close listeners, and what waits in their queues is reset."""
    found = {
        cell.axes.get("tunables", ""): (cell.verdict or "").partition(":")[0]
        for cell in kept().cells
        if cell.axes["server"] == "nginx-reuseport"
        and (cell.axes["restart"], cell.axes["traffic"]) == ("fewer-workers", "heavy")
    }
    assert found == {"": "reset", f"{MIGRATION}=1": "lossless"}


def test_the_readme_shows_it_and_its_date() -> None:
    readme = README.read_text()
    assert shown(kept()) in readme
    assert f"full run on {kept().run.started[:10]}" in re.sub(r"\s+", " ", readme)


def test_it_is_small_and_tells_nothing_of_the_machine_that_made_it() -> None:
    text = (KEPT / "matrix.json").read_text()
    assert len(text) <= LARGEST
    assert MACHINE_PATH.findall(text) == []


@pytest.mark.parametrize("name", ["hostname", "nodename", "node"])
def test_it_names_no_host(name: str) -> None:
    for guest in kept().guests.values():
        assert name not in guest
        assert name not in str(guest["facts"])
