"""A stranger's run folder: nothing in it leads out, waits, or fills the memory."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from test_cli import Command, command
from test_store import BEGUN, RAW, asked

from harness.store import Store

__all__ = ["command"]  # a fixture, found by its name

SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----"

READERS: dict[str, Sequence[str]] = {
    "judge": ("judge", "run"),
    "report": ("report", "run", "--format", "html", "-o", "page.html"),
    "claims": ("claims", "run"),
    "diff": ("diff", "run", "good"),
    "merge": ("merge", "run", "good", "-o", "merged"),
    "history": ("history", "run", "good"),
    "resume": ("run", "one", "--guests", "guests", "--resume", "--out", "run"),
    "baseline": ("run", "one", "--guests", "guests", "--baseline", "run"),
    "yaml": ("run", "one", "--guests", "guests", "--baseline", "run/guests/one/agent.jsonl"),
    "nightly": ("nightly", "--folder", "nights", "--of", "run"),
}
"""Commands that read a run folder which may be another person's."""

DEEP = ("judge", "report", "resume", "yaml")
"""Those that read more of it than its matrix.json."""

FILES = (
    *("matrix.json", "journal.jsonl", "guests/one/agent.jsonl", "guests/one/console.log"),
    *("guests/one/facts.json", "guests/one/console.qemu.log"),
)


def to_a_secret(path: Path) -> None:
    path.symlink_to(Path("secret").absolute())


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


KINDS: dict[str, Callable[[Path], None]] = {
    "link": to_a_secret,
    "pipe": os.mkfifo,
    "huge": huge,
}


@pytest.fixture
def runs(command: Command) -> Command:
    """Two runs, `run` and `good`, and a secret beside them."""
    for folder in ("run", "good"):
        command.run("one", "two", "--scenario", "distribution", "--out", folder)
        Path(folder, "guests/one/console.log").write_text("booted\n")
        Path(folder, "guests/one/console.qemu.log").write_text("warning\n")
    Path("secret").write_text(SECRET)
    Path("secret").chmod(0o600)
    return command


def leaks() -> list[Path]:
    """Return the files that hold the secret now, and are not it."""
    files = [path for path in Path().rglob("*") if path.is_file() and not path.is_symlink()]
    small = [path for path in files if path.stat().st_size < 1 << 20 and path.name != "secret"]
    return [path for path in small if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", FILES)
def test_no_file_of_a_run_leads_out_or_hangs(runs: Command, file: str, kind: str) -> None:
    path = Path("run", file)
    path.unlink()
    KINDS[kind](path)
    for name in READERS if file == "matrix.json" else DEEP:
        ended = runs(*READERS[name])
        assert ended.status in (0, 1, 2, 3), name
        assert SECRET not in ended.out + ended.err
        if ended.status == 2:
            assert f"error: {path}" in ended.err or name == "yaml", (name, ended.err)
    assert leaks() == []
    assert Path("secret").read_text() == SECRET


@pytest.mark.parametrize("folder", ["guests", "guests/one"])
def test_no_folder_of_a_run_leads_out(runs: Command, folder: str) -> None:
    outside = Path("outside")
    Path("run", folder).rename(outside)
    Path("run", folder).symlink_to(outside.absolute())
    (found,) = (
        outside.rglob("console.log") if folder == "guests/one" else [outside / "one/console.log"]
    )
    found.write_text(SECRET)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    Path("run/journal.jsonl").write_bytes(journal_without("one"))
    for name in DEEP:
        ended = runs(*READERS[name])
        assert SECRET not in ended.out + ended.err
    assert [path for path in leaks() if outside not in path.parents] == []
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before
    ended = runs(*READERS["resume"])
    assert ended.status == 2
    assert f"run/{folder}: is a link" in ended.err


def journal_without(guest: str) -> bytes:
    """Return the run's journal without the answers of a guest, so that it is asked again."""
    lines = Path("run/journal.jsonl").read_bytes().splitlines(keepends=True)
    return b"".join(line for line in lines if f'"guest":"{guest}"'.encode() not in line)


@pytest.mark.parametrize("file", FILES[1:])
def test_a_resumed_run_writes_to_nothing_outside(runs: Command, file: str) -> None:
    Path("run/journal.jsonl").write_bytes(journal_without("one"))
    path, outside = Path("run", file), Path("outside")
    path.rename(outside)
    before = outside.read_bytes()
    for hard in (False, True):
        if hard:
            os.link(outside, path)
        else:
            path.symlink_to(outside.absolute())
        runs.provider.booted.clear()
        ended = runs(*READERS["resume"])
        assert ended.status == 2, ended.err
        assert str(path) in ended.err
        assert runs.provider.booted == []
        assert outside.read_bytes() == before
        path.unlink()


def test_the_other_guest_of_a_damaged_run_is_judged_and_the_rest_measured_again(
    runs: Command,
) -> None:
    Path("run/guests/one/agent.jsonl").write_bytes(b"")
    lines = Path("run/journal.jsonl").read_bytes().splitlines(keepends=True)
    Path("run/journal.jsonl").write_bytes(b"".join([*lines[:2], b"damaged\n", *lines[2:]]))
    ended = runs("judge", "run")
    assert ended.status == 0
    assert "run/journal.jsonl:3: left out" in ended.err
    assert "answers of one are lost" in ended.err
    runs.provider.booted.clear()
    ended = runs("run", "--guests", "guests", "--resume", "--out", "run")
    assert ended.status == 0, ended.err
    assert runs.provider.booted == ["one"]


def test_a_baseline_that_is_no_file_is_refused_at_once(command: Command) -> None:
    for name in ("expected.yaml", "expected.json"):
        os.mkfifo(name)
        ended = command.run("one", "--baseline", name)
        assert ended.status == 2
        assert f"error: {name}: cannot be read: is a pipe, not a file" in ended.err
    Path("guests/pipe.yaml").unlink(missing_ok=True)
    os.mkfifo("guests/pipe.yaml")
    ended = command.run("one")
    assert (ended.status, "is a pipe" in ended.err) == (2, True)


def test_a_run_whose_name_is_a_link_of_the_user_is_read(runs: Command) -> None:
    Path("latest").symlink_to("run")
    assert runs("judge", "latest").status == 0
    with Store.create(Path("made"), BEGUN) as store:
        store.guest("one").answered(asked(), RAW)
    Path("other").symlink_to("made")
    assert runs("judge", "other").status == 0
