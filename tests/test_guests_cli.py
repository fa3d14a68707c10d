"""`guests`, `doctor` and `run --help`: what a person can do here, and why not the rest."""

import json
import platform
import re
from importlib import import_module
from pathlib import Path

import pytest
from test_cli import Command, command

from harness.cli.guests import Listed, system_of, write_guests
from harness.model import Depth
from harness.scenarios import CATALOGUE

__all__ = ["command"]  # a fixture, found by its name


def listing() -> list[Listed]:
    """Return guests of which one can start, one downloads, and four cannot start."""
    daemon = "libvirt: the daemon does not run; nor by virtualbox"
    licence = "only on a Mac"
    return [
        *(
            Listed(f"bsd-{number}", "BSD", None, "x", None, {"qemu": "no seed", "vagrant": daemon})
            for number in range(3)
        ),
        Listed("mac", "macOS", None, licence, None, {"host": licence, "vagrant": licence}),
        Listed("later", "Linux", "qemu", None, "https://x.org/a/b/y.img (address unchecked)", {}),
        Listed("host", "host", "host", None, None, {"ssh": None}),
    ]


def test_guests_lists_what_can_start_first_and_a_common_reason_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_guests(listing())
    said = capsys.readouterr().out
    marks = ("can start here", "  host ", "must download", "  later", "cannot start", "[1]")
    places = [said.index(text) for text in (*marks, "  bsd-0", "  mac")]
    assert places == sorted(places)
    assert said.count("the daemon does not run") == said.count("no seed") == 1
    assert "virtualbox" not in said
    assert "  qemu  y.img from x.org (address unchecked)\n" in said
    assert re.search(r"^  bsd-2 +BSD +-  \[1\] \[2\]$", said, re.M)
    assert re.search(r"^  mac +macOS +-  only on a Mac$", said, re.M)
    system = "macOS" if platform.system() == "Darwin" else platform.system()
    assert f"  host  {system} {platform.release()}  host  or ssh\n" in said


ADDRESSES = """\
name: g
system: S
agent: {target: host}
qemu:
  seed: nocloud
  image:
    url: https://x.org/y.img
    sha512: "%s"
    checked: {on: "2026-10-03", how: downloaded and booted}
vagrant:
  boxes:
    libvirt: {box: a/b, version: "1.0", unchecked: true}
    virtualbox: {box: my/own, made_by: make it}
"""


def test_each_address_says_when_and_how_it_was_last_checked(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "g.yaml").write_text(ADDRESSES % ("ab" * 64))
    done = command("guests", "--guests", str(tmp_path), "--json")
    (found,) = [one for one in json.loads(done.out) if one["name"] == "g"]
    assert found["addresses"] == [
        {
            "provider": "qemu",
            "address": "https://x.org/y.img",
            "key": None,
            "verified": "sha512 of the guest file",
            "checked": {"on": "2026-10-03", "how": "downloaded and booted"},
            "ends": None,
        },
        {
            "provider": "vagrant libvirt",
            "address": "a/b 1.0",
            "key": None,
            "verified": "nothing",
            "checked": None,
            "ends": "2026-12-31",
        },
    ]
    said = command("guests", "--guests", str(tmp_path)).out.split("HashiCorp's catalogue ends on ")
    assert said[1].startswith("2026-12-31, and with it the boxes of: dragonfly-6.4, ")
    assert said[1].rstrip().endswith(" g")
    assert all(len(line) <= 100 for line in said[1].splitlines())


def test_doctor_ends_with_what_can_be_measured_now(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("harness.cli.doctor")
    monkeypatch.setattr(module, "listed", lambda guests, places: listing())
    said = command("doctor").out.splitlines()
    system = system_of(listing()[-1])
    assert said[-3:-1] == [f"can be measured now: host ({system})", "after a download: later"]


def test_the_help_of_run_says_how_much_is_asked(command: Command) -> None:
    said = " ".join(command("run", "--help").out.split())
    for depth in Depth:
        count = sum(len(scenario.cells(depth)) for scenario in CATALOGUE.values())
        assert f"up to {count} cells a guest" in said
