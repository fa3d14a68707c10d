"""Recordings of real kernels, judged again: the regression suite of the classifiers.

`tests/data/<scenario>/<name>.jsonl` is what an agent said, `expected.json` beside it what that
amounts to: per file a verdict for each block, or `state: why`. A recording that nobody saw on a
kernel is called `invented-*.jsonl`. `facts` is not judged.
"""

import json
from pathlib import Path

import pytest

from harness.judge import conclude
from harness.model import Judgement
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import parse

DATA = Path(__file__).parent / "data"

UNJUDGED = "facts"

RECORDINGS = sorted(DATA.glob("*/*.jsonl"))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def in_words(judgement: Judgement) -> str:
    return judgement.verdict or f"{judgement.state}: {judgement.why}"


def expected(scenario: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((DATA / scenario / "expected.json").read_text())
    return found


@pytest.mark.parametrize("scenario", CATALOGUE)
def test_every_scenario_has_recordings_and_each_is_expected_to_be_something(scenario: str) -> None:
    there = {path.name for path in (DATA / scenario).glob("*.jsonl")}
    assert there
    assert expected(scenario).keys() == there


def test_every_folder_is_a_scenarios() -> None:
    assert {path.name for path in DATA.iterdir() if path.is_dir()} <= {*CATALOGUE, UNJUDGED}


@pytest.mark.parametrize("path", RECORDINGS, ids=name)
def test_a_recording_is_whole(path: Path) -> None:
    replies = parse(path.read_bytes(), SCRIPTS)
    assert replies
    assert [reply.torn for reply in replies if reply.torn] == []


@pytest.mark.parametrize(
    "path", [path for path in RECORDINGS if path.parent.name != UNJUDGED], ids=name
)
def test_a_recording_is_judged_as_it_was_seen(path: Path) -> None:
    scenario = path.parent.name
    judged = []
    for reply in parse(path.read_bytes(), SCRIPTS):
        assert reply.observation is not None
        assert reply.observation.begin.scenario == scenario
        judged.append(in_words(conclude(CATALOGUE[scenario], reply.observation)))
    assert judged == expected(scenario)[path.name]


def test_a_lost_line_of_a_recording_is_no_verdict() -> None:
    for path in RECORDINGS:
        lines = path.read_bytes().splitlines(keepends=True)
        for at in range(min(len(lines), 12)):
            left = parse(b"".join(lines[:at] + lines[at + 1 :]), SCRIPTS)
            assert b'"fact"' in lines[at] or any(reply.torn for reply in left), (path, at)
