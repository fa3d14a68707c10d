"""Exit statuses: what each means is documented, a bug has its own, and `--strict` adds a reason."""

import json
import re
import tempfile
from pathlib import Path

import pytest
from fakes import FakeProvider, reply
from test_cli import Command, command

from harness.cli import crash
from harness.cli.exit import ExitStatus

__all__ = ["command"]  # a fixture, found by its name

ROOT = Path(__file__).parent.parent

ASKED = ("one", "--guests", "guests", "--quick")

CHANGES_AND_GAPS = {"1", "3"}
"""Statuses of a night that went well: a verdict changed, something could not be measured."""


def with_a_stranger(line: str) -> str:
    """Answer, but let one flow be answered by somebody else's server: an inconclusive cell."""
    said = []
    for text in reply(line).splitlines():
        event = json.loads(text)
        if event["event"] == "flows" and event["fates"]:
            event["fates"][0] = "foreign"
        said.append(json.dumps(event, separators=(",", ":")))
    return "".join(f"{text}\n" for text in said)


def test_every_status_is_in_the_readme_and_in_the_help(command: Command) -> None:
    readme = (ROOT / "README.md").read_text().partition("Exit status: ")[2].partition("\n\n")[0]
    told = command("--help").out.partition("Exit status: ")[2]
    for status in ExitStatus:
        assert re.search(rf"(^|· |\n){status} ", readme), f"README: {status!r}"
        assert re.search(rf"(^|; |\n *){status} ", told), f"--help: {status!r}"
    for text in (readme, told, command("run", "--help").out, command("nightly", "--help").out):
        assert "inconclusive" in text
        assert "--strict" in text


def test_the_unit_takes_neither_a_bug_nor_a_bad_file_for_a_good_night() -> None:
    page = (ROOT / "docs/nightly.md").read_text()
    taken = set(page.partition("SuccessExitStatus=")[2].partition("\n")[0].split())
    assert taken == CHANGES_AND_GAPS
    assert not taken & {str(ExitStatus.CRASHED), str(ExitStatus.USAGE)}
    assert f"{ExitStatus.CRASHED} a bug" in " ".join(page.split())


def test_an_inconclusive_cell_is_no_failure_unless_you_are_strict(command: Command) -> None:
    command.use(FakeProvider(answers={"one": with_a_stranger}))
    only = ("--scenario", "distribution")
    assert command("run", *ASKED, *only, "--out", "a").status == 0
    strict = command("run", *ASKED, *only, "--out", "b", "--strict")
    assert strict.status == 3
    assert re.search(r"error: one: \d+ inconclusive cells: somebody else's server", strict.err)
    assert command("judge", "a").status == 0
    judged = command("judge", "a", "--strict")
    assert (judged.status, "inconclusive cells: somebody" in judged.err) == (3, True)
    for sources in (("--of", "a"), ASKED):
        assert command("nightly", *sources, "--folder", f"n{len(sources)}").status == 0
        folder = f"strict{len(sources)}"
        night = command("nightly", *sources, "--folder", folder, "--strict")
        assert (night.status, "inconclusive cells: somebody" in night.err) == (3, True)


def test_strict_says_nothing_of_a_run_without_such_a_cell(command: Command) -> None:
    ended = command("run", *ASKED, "--scenario", "distribution", "--out", "a", "--strict")
    assert (ended.status, "error:" in ended.err) == (0, False)
    assert command("judge", "a", "--strict").status == 0


def broken() -> None:
    """Raise an error whose text would move a cursor and fill a screen."""
    raise KeyError("\x1b[2J\n" + "x" * 5000)


def failed() -> KeyError:
    """Return that error with its traceback."""
    with pytest.raises(KeyError) as caught:
        broken()
    return caught.value


def test_a_traceback_is_kept_for_its_user_only(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    crash.complain_of_bug(failed())
    said = capfd.readouterr().err
    (path,) = Path("cache/reuseport-matrix/crashes").iterdir()
    assert str(path.absolute()) in said
    assert (said.count("\n"), "\x1b" in said, len(said) < 600) == (1, False, True)
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_text()
    assert kept.startswith("reuseport-matrix ")
    assert "in broken" in kept


def test_a_traceback_that_no_folder_takes_is_shown(
    command: Command, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("no folder")
    with monkeypatch.context() as patch:  # pytest's own capturing uses tempfile, too
        patch.setenv("XDG_CACHE_HOME", str(Path("file").absolute()))
        patch.setattr(tempfile, "tempdir", str(Path("file").absolute()))
        crash.complain_of_bug(failed())
    said = capfd.readouterr().err.splitlines()
    assert said[0].endswith("; the traceback is below; please report it")
    assert said[1] == "Traceback (most recent call last):"
    assert "\x1b" not in "".join(said)
