"""Server files: what they may say, the mistakes they are rejected for, and the plan they become."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import FileError
from harness.machine.resources import guests_folder, servers_folder
from harness.model import Depth
from harness.model.server import Server
from harness.run.names import known_guests
from harness.scenarios import restart
from harness.servers import load, plan
from harness.servers.plan import octets
from harness.servers.steps import SIGNALS, VERBS, mistake

GOOD = """\
name: mine
title: my own server
protocol: http
packages: [python3]
files:
  app.conf: |
    port {port} generation {generation} of {word} {other}
values: {word: mine}
start: exec my-server {folder}/app.conf
ways:
  reload:
    - write
    - signal HUP main
    - new
"""


def loaded(folder: Path, text: str) -> Mapping[str, Server]:
    (folder / "mine.yaml").write_text(text)
    return load([folder])


def test_a_server_of_ones_own_takes_fifteen_lines(tmp_path: Path) -> None:
    server = loaded(tmp_path, GOOD)["mine"]
    assert len(GOOD.splitlines()) == 14
    assert server.ways == {"reload": ("write", "signal HUP main", "new")}
    assert (server.stop, server.workers) == (("signal TERM main",), 4)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("title:", "titel:", 2, "`titel` is not a key of a server"),
        ("name: mine", "name: Mine!", 1, "cannot be a server's name"),
        ("protocol: http", "protocol: gopher", 3, "`protocol`"),
        ("title: my own server", "title: mine\ntraffic: [huge]", 3, "`traffic"),
        ("title: my own server", "title: mine\ntraffic: []", 3, "`traffic`: "),
        ("protocol: http", "protocol: tcp", 3, "`request` and `answer` go with `protocol: tcp`"),
        ("packages: [python3]", "packages: python3", 4, "expected a list"),
        ("  app.conf:", "  ../app.conf:", 6, "expected a relative path"),
        ("{word: mine}", "{port: mine}", 8, "cannot be a placeholder"),
        ("    - write", "    - wirte", 12, "no step begins with `wirte`"),
        ("signal HUP main", "signal HUP", 13, "expected `signal NAME WHO`"),
        ("signal HUP main", "signal STOP main", 13, "NAME one of HUP"),
        ("signal HUP main", "signal HUP file:../pid", 13, "is nobody"),
        ("    - new", "    - new one", 14, "takes nothing after it"),
        ("  reload:", "  re load:", 11, "cannot be the name of a way"),
        ("start: exec", "begin: exec", 9, "`begin` is not a key"),
        ("title: my own server", "workers: 100", 1, "has no `title`"),
        ("title: my own server", "title: mine\nworkers: 100", 3, "expected 1 to 64"),
        ("title: my own server", "title: mine\nvariants: {}", 3, "exclude each other"),
        ("title: my own server", "title: mine\non: {FreeBSD: {packags: []}}", 3, "on.FreeBSD"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(FileError) as caught:
        loaded(tmp_path, GOOD.replace(old, new, 1))
    assert f"mine.yaml:{line}: " in str(caught.value)
    assert said in str(caught.value)


def test_a_folder_that_does_not_exist_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not a folder of server files"):
        load([tmp_path / "host"])


def test_a_later_folder_replaces_a_server(tmp_path: Path) -> None:
    for name, title in (("a", "first"), ("b", "second")):
        (tmp_path / name).mkdir()
        text = GOOD.replace("my own server", title)
        (tmp_path / name / "mine.yaml").write_text(text)
    assert load([tmp_path / "a", tmp_path / "b"])["mine"].title == "second"


def test_a_variant_has_its_own_ways_only(tmp_path: Path) -> None:
    text = GOOD.replace("name: mine\n", "") + (
        "variants:\n"
        "  one: {title: one}\n"
        "  two: {values: {more: x}, ways: {replace: [start, new, gone main, main second]}}\n"
    )
    found = loaded(tmp_path, text)
    assert list(found["one"].ways) == ["reload"]
    assert list(found["two"].ways) == ["replace"]
    assert found["two"].values == {"word": "mine", "more": "x"}


@pytest.mark.parametrize("step", VERBS)
def test_every_verb_has_a_form_that_is_taken(step: str) -> None:
    forms = {
        "set": "set workers 2",
        "run": "run true",
        "signal": "signal HUP file:nginx.pid",
        "gone": "gone second",
        "main": "main file:run/nginx.pid",
        "sleep": "sleep 200",
    }
    assert mistake(forms.get(step, step)) is None
    assert all(mistake(f"signal {name} worker") is None for name in SIGNALS)


@pytest.mark.parametrize(
    "step", ["sleep 0", "sleep 99999", "set workers 0", "set port 1", "main main", "run  ", "gone"]
)
def test_a_step_beyond_its_limits_is_rejected(step: str) -> None:
    assert mistake(step) is not None


@given(st.text(max_size=40))
def test_any_step_is_taken_or_rejected_with_a_sentence(step: str) -> None:
    said = mistake(step)
    assert said is None or said.strip()
    assert said is not None or "\n" not in step


def test_the_plan_has_what_the_agent_needs_and_leaves_it_its_placeholders(tmp_path: Path) -> None:
    server = loaded(tmp_path, GOOD)["mine"]
    lines = plan(server, "Linux", root="/servers").decode().splitlines()
    assert lines == [
        "plan 1",
        "root /servers",
        "protocol http",
        "workers 4",
        "file app.conf 52",
        "port {port} generation {generation} of mine {other}",
        "",
        "start exec my-server {folder}/app.conf",
        "ready 10000",
        "way reload",
        "step write",
        "step signal HUP main",
        "step new",
        "stop",
        "step signal TERM main",
        "end",
    ]


def test_a_slow_guest_has_longer_to_be_ready_and_sleeps_longer(tmp_path: Path) -> None:
    text = GOOD.replace("- signal HUP main\n", "- signal HUP main\n    - sleep 300\n")
    lines = plan(loaded(tmp_path, text)["mine"], "Linux", factor=4).decode().splitlines()
    assert {"ready 40000", "step sleep 1200", "step signal HUP main"} <= set(lines)


def test_a_guest_that_lacks_a_server_is_told_why(tmp_path: Path) -> None:
    server = loaded(tmp_path, GOOD)["mine"]
    assert b"\nunsupported mine: its file says nothing about NetBSD\n" in plan(server, "NetBSD")
    missing = plan(server, "Linux", missing="no package caddy")
    assert b"\nunsupported mine: no package caddy\n" in missing


def test_another_system_may_differ(tmp_path: Path) -> None:
    text = GOOD + "on: {FreeBSD: {start: 'exec other {word}', values: {word: theirs}}}\n"
    written = plan(loaded(tmp_path, text)["mine"], "FreeBSD").decode()
    assert "start exec other theirs\n" in written
    assert "of theirs {other}" in written


def test_a_system_may_be_one_where_it_cannot_run(tmp_path: Path) -> None:
    text = (
        GOOD + "on: {FreeBSD: {unsupported: it needs epoll}, NetBSD: {unsupported: it needs epoll}}"
    )
    server = loaded(tmp_path, text)["mine"]
    assert b"\nunsupported mine: it needs epoll\n" in plan(server, "FreeBSD")
    assert b"unsupported" not in plan(server, "Linux")
    assert server.not_on == {"it needs epoll": "FreeBSD, NetBSD"}


def test_a_request_may_have_any_byte() -> None:
    assert octets(r"a\x00\xff\r\n\\") == b"a\x00\xff\r\n\\\\"


SERVERS = load([servers_folder()])


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_that_comes_along_has_a_plan_without_a_placeholder_of_ours(name: str) -> None:
    server = SERVERS[name]
    written = plan(server, "Linux").decode("latin-1")
    assert not any(f"{{{key}}}" in written for key in server.values)
    assert not server.title.endswith(".")
    assert name.startswith("reference-") or (server.packages and server.programs)


@pytest.mark.parametrize("system", ["FreeBSD", "NetBSD", "DragonFly", "Darwin"])
@pytest.mark.parametrize("name", SERVERS)
def test_each_server_says_how_it_runs_on_the_other_systems(name: str, system: str) -> None:
    """Which nobody has tried, but for the agent's own server, or why it cannot run there."""
    server = SERVERS[name]
    on = server.on[system]
    lines = plan(server, system).decode("latin-1").splitlines()
    programs = [line.split()[1] for line in lines if line.startswith("program ")]
    (start,) = [line for line in lines if line.startswith("start ")]
    if on.unsupported:
        assert f"unsupported {name}: {on.unsupported}" in lines
    elif server.programs:
        assert on.unchecked
        assert programs
        assert all(one in start for one in programs)
        assert "/usr/lib/" not in "\n".join(lines)
    else:
        assert "{agent}" in start


@pytest.mark.parametrize("name", SERVERS)
def test_systems_of_a_server_are_systems_of_guests(name: str) -> None:
    systems = {guest.system for guest in known_guests([]).values()} | {"Darwin", "illumos"}
    assert set(SERVERS[name].on) <= systems
    assert guests_folder().is_dir()


def test_a_full_run_restarts_each_way_at_both_loads_and_with_migration() -> None:
    nginx = SERVERS["nginx"]
    full = restart.cells_of([nginx], Depth.FULL)
    assert len(full) == 3 * len(nginx.ways)
    quick = restart.cells_of([nginx], Depth.QUICK)
    assert set(quick) < set(full)
    assert {cell.axes["traffic"] for cell in quick} == {"heavy"}


def test_a_server_may_be_asked_at_one_load_only() -> None:
    asked = restart.cells_of([SERVERS["reference-reuseport-slow"]], Depth.FULL)
    assert [cell.axes["traffic"] for cell in asked] == ["heavy", "heavy"]
