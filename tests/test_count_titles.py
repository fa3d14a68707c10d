"""Titles of counts: every count that a classifier gives has one that a person understands."""

import re

import pytest
from recorded_matrix import recorded

from harness.report.count_titles import title


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flows", "flows in all"),
        ("member_3", "listener 4"),
        ("victim_reset", "the failed worker's: reset"),
        ("survivors_total", "the other workers': all"),
        ("survivors_member_0", "the other workers': listener 1"),
        ("left_2_member_0", "after leave 2: listener 1"),
        ("left_1_flows", "after leave 1: flows in all"),
        ("inherited_by_1", "inherited by listener 2"),
        ("served_by_dual-stack", "served by dual-stack"),
        ("crossed_served_by_ipv4", "in the other order: served by ipv4"),
        ("victim_ECONNRESET", "the failed worker's: ECONNRESET"),
        ("ECONNREFUSED", "ECONNREFUSED"),
        ("unheard_of", "unheard of"),
        ("", ""),
    ],
)
def test_a_count_is_titled(name: str, said: str) -> None:
    assert title(name) == said


def test_no_recorded_cell_shows_a_name_of_the_code() -> None:
    for entry in recorded().cells:
        titles = [title(name) for name in entry.counts]
        assert len(set(titles)) == len(titles), entry.scenario
        assert not [one for one in titles if re.search(r"_|member \d", one)]
