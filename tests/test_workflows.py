"""The workflows name what exists: commands, options, tox environments, guests; and pin the rest."""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from harness import guests
from harness.cli import COMMANDS, group
from harness.guests import select
from harness.machine.resources import guests_folder

ROOT = Path(__file__).parent.parent

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> Iterator[dict[str, object]]:
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        yield from job["steps"]


def lines(path: Path) -> Iterator[list[str]]:
    """Yield every command line of every step, as far as words go."""
    for step in steps(path):
        text = str(step.get("run", "")).replace("\\\n", " ")
        for line in text.splitlines():
            yield shlex.split(re.sub(r"\|\| \w+.*$", "", line), comments=True)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_and_option_of_ours_exists(path: Path) -> None:
    found = 0
    for words in lines(path):
        if words[:1] != ["reuseport-matrix"]:
            continue
        found += 1
        assert words[1] in COMMANDS
        command = group.get_command(click.Context(group), words[1])
        assert command is not None
        known = {name for option in command.params for name in option.opts}
        asked = {word for word in words[2:] if word.startswith("--")}
        assert asked <= known
    assert found == {"ci.yml": 0, "nightly.yml": 3}[path.name]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_tox_environment_exists(path: Path) -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    for words in lines(path):
        if words[:2] == ["tox", "run"]:
            for name in words[words.index("-e") + 1].split(","):
                assert f"testenv:{name}" in tox.sections()


def test_every_guest_of_the_night_exists() -> None:
    known = guests.load([guests_folder()])
    text = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    rows = text["jobs"]["measure"]["strategy"]["matrix"]["include"]
    named = {name for row in rows for name in row["guests"].split()}
    assert {guest.system.lower() for guest in select(known, sorted(named), lambda _: True)} >= {
        *("linux", "freebsd", "dragonfly", "netbsd"),
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_whatever_is_not_ours_is_pinned_and_nothing_may_more_than_it_says(path: Path) -> None:
    text = yaml.safe_load(path.read_text())
    assert text["permissions"] == {}
    for job in text["jobs"].values():
        assert job["timeout-minutes"]
        assert "permissions" in job
    used = [str(step["uses"]) for step in steps(path) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", one) for one in used)
    assert "${{" not in "".join(str(step.get("run", "")) for step in steps(path))
