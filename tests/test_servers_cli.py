"""`servers`, and `run` with `--server` and `--servers`, against a fake guest."""

import json
from pathlib import Path

import pytest
from test_cli import Command, command
from test_servers import GOOD

from harness.machine.resources import servers_folder
from harness.servers import load

__all__ = ["command"]  # a fixture, found by its name

RUN = ("run", "one", "--guests", "guests", "--out", "out")


def asked(folder: str = "out") -> set[tuple[str, str]]:
    cells = json.loads(Path(folder, "matrix.json").read_text())["cells"]
    return {(cell["scenario"], cell["axes"].get("server", "")) for cell in cells}


def test_servers_lists_each_with_its_ways(command: Command) -> None:
    listed = json.loads(command("servers", "--json").out)
    text = command("servers").out
    assert [one["name"] for one in listed] == list(load([servers_folder()]))
    assert all(one["name"] in text and one["title"] in text for one in listed)
    assert all(way in text for one in listed for way in one["ways"])
    assert "not on NetBSD, Darwin: Node has no reusePort there" in " ".join(text.split())
    assert "not if uvicorn is older than 0.30" in text


def test_a_run_asks_the_named_servers_and_nothing_else(command: Command) -> None:
    ended = command(*RUN, "--server", "nginx", "--server", "haproxy")
    assert ended.status == 0
    assert asked() == {("restart", "nginx"), ("restart", "haproxy")}
    ended = command(*RUN, "--server", "nginx", "--scenario", "sharing", "--out", "both")
    assert asked("both") >= {("restart", "nginx"), ("sharing", "")}


def test_all_servers_or_those_of_a_folder(command: Command) -> None:
    assert command(*RUN, "--servers").status == 0
    assert {name for _, name in asked()} == set(load([servers_folder()]))
    Path("mine").mkdir()
    Path("mine", "a.yaml").write_text(GOOD)
    assert command(*RUN, "--servers", "mine", "--out", "own").status == 0
    assert asked("own") == {("restart", "mine")}
    assert command("servers", "--servers", "mine").out.count("my own server") == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--server", "ngnix"), "did you mean nginx"),
        (("--servers", "nowhere"), "is not a folder of server files"),
    ],
)
def test_an_unknown_server_or_folder(command: Command, more: tuple[str, ...], said: str) -> None:
    ended = command(*RUN, *more)
    assert (ended.status, said in ended.err) == (2, True)
    assert not Path("out").exists()


def test_restart_needs_a_server(command: Command) -> None:
    ended = command(*RUN, "--scenario", "restart")
    assert (ended.status, "name one with --server NAME" in ended.err) == (2, True)


def test_a_night_asks_servers_besides_the_catalogue(command: Command) -> None:
    night = ("nightly", "one", "--guests", "guests", "--quick", "--folder", "nights")
    assert command(*night, "--server", "nginx").status in (0, 3)
    (out,) = Path("nights", "runs").iterdir()
    assert asked(str(out)) >= {("restart", "nginx"), ("sharing", "")}


def test_a_mistake_in_a_server_file_is_told_with_its_line(command: Command) -> None:
    Path("mine").mkdir()
    Path("mine", "a.yaml").write_text(GOOD.replace("- new", "- news"))
    ended = command(*RUN, "--servers", "mine")
    assert (ended.status, "a.yaml:14: " in ended.err) == (2, True)


def test_a_resumed_run_asks_its_own_servers(command: Command) -> None:
    Path("mine").mkdir()
    Path("mine", "a.yaml").write_text(GOOD)
    assert command(*RUN, "--servers", "mine").status == 0
    again = ("run", "--resume", "--guests", "guests", "--out", "out")
    ended = command(*again)
    assert (ended.status, "--servers DIR" in ended.err) == (2, True)
    assert command(*again, "--servers", "mine").status == 0
