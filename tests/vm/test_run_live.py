"""Whole runs through the command line: this machine's kernel, and guests beside it."""

import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from live_command import Ended, Here, need_guest

from harness import scenarios
from harness.matrix import Entry, Matrix, decode
from harness.model import Depth, State
from harness.report.formats import FORMATS

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("run")]

SCHEMA = Path(__file__).parents[2] / "docs" / "matrix.schema.json"

HOST = ("host",)
TOGETHER = ("host", "linux-6.1", "linux-5.10")

PEAK = 150 << 10
"""KiB of memory that the harness may use."""

DOUBTFUL = 2
"""How many cells of a guest may be inconclusive. The rest of the suite keeps both cores busy, so
the agent sometimes gets no CPU for longer than a timed cell allows, and says so (docs/traps.md,
trap 12). Infrastructure failures are never allowed: the harness repeats what failed."""


class Measured:
    """A run that ended."""

    def __init__(self, here: Here, names: tuple[str, ...]) -> None:
        self.here = here
        self.names = names
        self.folder = here.folder / "run"
        self.ended: Ended = here("run", *names, "--quick", "--jobs", "2", "--out", "run")
        assert self.ended.status == 0, self.ended.err
        self.matrix: Matrix = here.matrix()

    def cells(self, guest: str, scenario: str, **axes: str) -> list[Entry]:
        """Return a guest's measured cells at these axes, without `peer` and without tunables."""
        return [
            cell
            for cell in self.matrix.cells
            if (cell.guest, cell.scenario, cell.state) == (guest, scenario, State.MEASURED)
            and axes.items() <= cell.axes.items()
            and not cell.axes.keys() & {"peer", "tunables"}
        ]


@pytest.fixture(scope="module", params=[HOST, TOGETHER], ids=["host", "together"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """One run that all tests of this file use."""
    names: tuple[str, ...] = request.param
    for name in names:
        if name != "host":
            need_guest(name)
    return Measured(Here(tmp_path_factory.mktemp("run")), names)


def test_every_cell_is_in_one_state_and_none_failed(run: Measured) -> None:
    asked = {cell.key for cell in scenarios.cells(Depth.QUICK) if cell.setting is None}
    for name in run.names:
        cells = [cell for cell in run.matrix.cells if cell.guest == name]
        found = Counter(cell.cell.key for cell in cells if "tunables" not in cell.axes)
        assert found == Counter(asked)
        states = Counter(cell.state for cell in cells)
        assert states[State.INFRASTRUCTURE] == states[State.NOT_RUN] == 0
        assert states[State.INCONCLUSIVE] <= DOUBTFUL, [
            (cell.cell.key, cell.why) for cell in cells if cell.state is State.INCONCLUSIVE
        ]
        assert states[State.MEASURED] > len(asked) / 2


def test_the_matrix_is_what_the_schema_says(run: Measured) -> None:
    text = (run.folder / "matrix.json").read_text()
    jsonschema.validate(json.loads(text), json.loads(SCHEMA.read_text()))


def test_the_provenance_is_whole(run: Measured) -> None:
    for name in run.names:
        about = run.matrix.guests[name]
        made, facts = about["provenance"], about["facts"]
        assert isinstance(made, dict)
        assert isinstance(facts, dict)
        assert {"sysname", "release", "version", "machine", "cpus"} <= facts.keys()
        assert {"cpus", "slow_factor", "agent_sha256"} <= made.keys()
        assert about["release"] == facts["release"]
        assert len(str(made["agent_sha256"])) == 64
        assert about["provider"] == ("host" if name == "host" else "qemu")
        assert about["accelerator"]
        if name != "host":
            assert str(facts["release"]).startswith(name.removeprefix("linux-"))
            assert {len(str(made[f"{part}_sha256"])) for part in ("kernel", "initramfs")} == {64}
            assert "net.ipv4.tcp_migrate_req" in facts
            assert int(str(made["memory"])) == 256


def test_judging_again_gives_the_same_bytes(run: Measured) -> None:
    before = (run.folder / "matrix.json").read_bytes()
    (run.folder / "matrix.json").unlink()
    assert run.here("judge", "run").status == 0
    assert (run.folder / "matrix.json").read_bytes() == before


@pytest.mark.parametrize("form", FORMATS)
def test_the_run_can_be_reported(run: Measured, form: str) -> None:
    first, again = (run.here("report", "run", "--format", form) for _ in range(2))
    assert (first.status, first.err) == (0, "")
    assert first.out == again.out
    assert all(name in first.out for name in run.names)
    if form == "json":
        assert decode(first.out.encode()) == run.matrix


def test_the_harness_stays_small(run: Measured) -> None:
    if run.ended.peak == 0:
        pytest.skip("this system does not say how much memory a process had")
    assert 10 << 10 < run.ended.peak <= PEAK


def test_nothing_is_left_of_the_guests(run: Measured) -> None:
    assert run.here.left() == []
    assert not list(run.folder.rglob("*.new"))


def linux(run: Measured) -> list[str]:
    """Return the guests for which the facts are known."""
    found = [name for name in run.names if run.matrix.guests[name]["system"] == "Linux"]
    if not found:
        pytest.skip("what is known is known of Linux, which is not measured here")
    return found


def test_linux_spreads_connections_evenly(run: Measured) -> None:
    """100 ± 45 of 400: five standard deviations of a fair draw, 8.7 each."""
    for name in linux(run):
        cells = run.cells(name, "distribution", protocol="tcp", option="reuseport")
        assert cells
        for cell in cells:
            shares = [cell.counts[f"member_{index}"] for index in range(4)]
            assert (sum(shares), cell.counts["flows"]) == (400, 400)
            assert 55 <= min(shares) <= max(shares) <= 145


def test_linux_resets_only_the_queue_of_the_killed(run: Measured) -> None:
    for name in linux(run):
        cells = run.cells(name, "failure-queued", failure="kill", option="reuseport")
        assert cells
        for cell in cells:
            only_its_own(cell)


def only_its_own(cell: Entry) -> None:
    """All connections of the victim are reset; all those of the survivors are served."""
    counts = cell.counts
    assert counts["victim_reset"] == counts["victim_total"] > 0
    assert counts["survivors_served"] == counts["survivors_total"]
    assert counts["victim_total"] + counts["survivors_total"] == counts["queued"]
    assert counts["not_queued"] == 0


def test_linux_resets_only_its_share_of_the_full_form(tmp_path: Path) -> None:
    """The nightly form of `failure-queued`: no more connections than the shortest queue takes."""
    names = ["host"]
    need_guest("linux-6.1")
    here = Here(tmp_path)
    ended = here(
        "run", *names, "linux-6.1", "--full", "--scenario", "failure-queued", "--out", "run"
    )
    assert ended.status == 0, ended.err
    matrix = here.matrix()
    for name in ("host", "linux-6.1"):
        if matrix.guests[name]["system"] != "Linux":
            continue
        wanted = {"failure": "kill", "option": "reuseport", "family": "ipv4", "bind": "specific"}
        cells = [
            cell
            for cell in matrix.cells
            if cell.guest == name
            and wanted.items() <= cell.axes.items()
            and cell.verdict
            and "tunables" not in cell.axes
        ]
        assert cells
        for cell in cells:
            only_its_own(cell)
        assert max(cell.counts["queued"] for cell in cells) == 120
    assert here.left() == []


def test_on_linux_a_bound_sibling_is_harmless(run: Measured) -> None:
    for name in linux(run):
        cells = run.cells(name, "bound-only", option="reuseport")
        assert {cell.axes["position"] for cell in cells} == {"first", "last"}
        for cell in cells:
            served = sum(cell.counts[f"member_{index}"] for index in range(4))
            assert served == cell.counts["flows"]
            assert cell.verdict == "harmless"


def test_on_linux_it_matters_which_member_leaves(run: Measured) -> None:
    """reuseport_detach_sock (net/core/sock_reuseport.c) moves the last member into the free place.

    The hash is scaled to the number of members, so 2/3, 1/9 and 1/3 of the survivors' flows should
    move. With 150 flows, a standard deviation is at most 0.04.
    """
    for name in linux(run):
        for cell in (moved := leavers(run, name)).values():
            assert cell.counts["again_same"] == cell.counts["flows"] == 200
        share = {
            member: cell.counts["survivors_moved"] / cell.counts["survivors_total"]
            for member, cell in moved.items()
        }
        assert share["first"] > share["last"] > share["middle"]
        assert share["first"] - share["middle"] > 0.3


def leavers(run: Measured, name: str) -> dict[str, Entry]:
    """Return the cells in which one of four listeners leaves, by that listener."""
    cells = run.cells(name, "failure-flows", protocol="tcp", family="ipv4", change="leave")
    found = {cell.axes["member"]: cell for cell in cells if cell.axes["option"] == "reuseport"}
    assert found.keys() == {"first", "middle", "last"}
    return found
