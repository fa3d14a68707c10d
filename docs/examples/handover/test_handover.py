"""Does this server hand its port over? On every kernel that `--guest` names."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.run.live_guest import LiveGuest

HERE = Path(__file__).parent


@pytest.fixture
def phases(guest: LiveGuest) -> Mapping[str, Mapping[str, int]]:
    """Return how often each server answered, phase by phase."""
    guest.build(HERE / "server.c")
    guest.push(HERE / "handover.sh")
    lines = guest.run(["sh", "handover.sh"]).stdout.splitlines()
    found = {}
    for line in lines:
        phase, _, counts = line.partition(": ")
        words = counts.split()
        found[phase] = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return found


def test_the_new_server_takes_over_and_nothing_is_lost(
    phases: Mapping[str, Mapping[str, int]],
) -> None:
    assert phases["before"] == {"old": 100, "new": 0, "lost": 0}
    assert phases["after"] == {"old": 0, "new": 100, "lost": 0}


@pytest.mark.guests("linux", "host")
def test_on_linux_both_are_served_meanwhile(phases: Mapping[str, Mapping[str, int]]) -> None:
    assert phases["both"]["lost"] == 0
    assert min(phases["both"]["old"], phases["both"]["new"]) > 20
