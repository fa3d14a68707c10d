"""Eight runs at the same time on one machine do not disturb each other."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from live_command import Here, need_guest

from harness.model import State
from harness.store.journal import GuestMet

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("crowd")]

ONE = "linux-6.1"
MANY = 8
ASKED = ("--scenario", "sharing", "--scenario", "failure-established", "--out", "run")


def test_eight_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    need_guest(ONE)
    places = [tmp_path / str(number) for number in range(MANY)]
    for place in places:
        place.mkdir()
    runs = [Here(place) for place in places]
    # All use one state, so that they share leases, locks and ports, as the runs of one user do.
    for run in runs:
        run.places = runs[0].places
        run.environment["XDG_STATE_HOME"] = runs[0].environment["XDG_STATE_HOME"]
    with ExitStack() as stack:
        started = [stack.enter_context(run.start("run", ONE, "host", *ASKED)) for run in runs]
        ended = [live.ended() for live in started]
    for run, end in zip(runs, ended, strict=True):
        assert end.status == 0, end.err
        cells = run.matrix().cells
        assert {cell.state for cell in cells} <= {State.MEASURED, State.NOT_APPLICABLE}
        assert {cell.guest for cell in cells} == {ONE, "host"}
    words = {tuple((cell.guest, cell.verdict) for cell in run.matrix().cells) for run in runs}
    assert len(words) == 1
    keys = [
        line.provenance.get("host_key", "") + line.at
        for run in runs
        for line in run.journal()
        if isinstance(line, GuestMet)
    ]
    assert len(keys) == 2 * MANY
    assert max(end.peak for end in ended) < 150 << 10
    assert runs[0].left() == []
