"""A hostile worker, and a scheduler that only members of an authority reach."""

import os
from pathlib import Path

import pytest
from dask_cluster import lab, quiet
from dask_tls import tls_settings
from live_command import Here

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("cluster")]

SHORT = ("--scenario", "sharing", "--quick", "--out", "run")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


HIT = ("object", "raised", "result", "event")
BROKEN = ("rubbish", "repeated", "early", "slow", "flood", "chatter", "huge")


@pytest.mark.parametrize("way", [*HIT, *BROKEN])
def test_a_hostile_worker_does_no_harm(way: str, here: Here, tmp_path: Path) -> None:
    hits = tmp_path / "hits"
    hits.mkdir()
    tests = Path(__file__).parents[1]
    path = f"{tests.parent}{os.pathsep}{tests}"
    environment = {"PYTHONPATH": path, "HOSTILE": way, "CANARY": str(hits)}
    with lab(tmp_path, {**here.environment, **environment}) as made:
        made.scheduler()
        made.worker("evil", preload="hostile_worker")
        with here.start("run", "host", *SHORT, "--cluster", made.address) as live:
            ended = live.ended()
    assert ended.status == 3, ended.err
    assert "the machine evil is lost" in ended.err
    assert not (hits / str(live.process.pid)).exists()
    quiet(ended)
    assert "GOTCHA" not in ended.out
    assert len(ended.err) < 2 << 20
    assert ended.peak < 400 << 10


def test_tls_works_with_the_settings_of_dask(here: Here, tmp_path: Path) -> None:
    settings = tls_settings(tmp_path / "tls")
    with lab(tmp_path, {**here.environment, **settings}) as made:
        made.scheduler("--protocol", "tls", "--host", "127.0.0.1")
        assert made.address.startswith("tls://")
        made.worker("one")
        here.environment.update(settings)
        ended = here("run", "host", *SHORT, "--cluster", made.address)
        assert ended.status == 0, ended.err
        quiet(ended)
        other = Here(tmp_path, tls_settings(tmp_path / "stranger"))
        ended = other("run", "host", "--out", "refused", "--cluster", made.address)
        assert ended.status == 3, ended.err
        assert "no scheduler of Dask answers" in ended.err
        quiet(ended)
