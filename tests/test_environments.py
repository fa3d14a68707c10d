"""Each command in hostile environments: none ends in a traceback, each message says what to do.

An environment has everything at once that cannot hide something else. Five have every command; the
others have those that meet what is wrong there. A command works as everywhere, unless its
environment says that it may fail; then it fails in a sentence with a hint.
"""

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from harness.cli import COMMANDS
from harness.cli.exit import ExitStatus

TESTS = Path(__file__).parent

TIMEOUT = 280
"""Seconds for all rows of an environment, on a machine that has much else to do; usually five."""

GUEST = ("one", "--guests", "guests")

ROWS: Mapping[str, Sequence[str]] = {
    "run": ("run", *GUEST, "--scenario", "distribution", "--out", "out"),
    "nightly": ("nightly", "--of", "old", "--folder", "nights"),
    "guests": ("guests", "--guests", "guests"),
    "scenarios": ("scenarios",),
    "servers": ("servers",),
    "explain": ("explain", "balanced"),
    "claims": ("claims", "old"),
    "doctor": ("doctor",),
    "report": ("report", "old"),
    "page": ("report", "old", "--format", "html", "-o", "page.html"),
    "diff": ("diff", "old", "new"),
    "merge": ("merge", "old", "new", "-o", "merged.json"),
    "history": ("history", "old", "new", "--db", "history.sqlite"),
    "judge": ("judge", "old"),
    "shell": ("shell", *GUEST),
    "exec": ("exec", *GUEST, "--", "7"),
    "gc": ("gc", "--cache"),
    "stop": ("stop",),
    "help": ("--help",),
    "version": ("--version",),
    "nothing": (),
    "no-command": ("rn\xff",),
    "no-guest": ("run", "caf\xe9"),
    "no-run": ("report", "n\xffwhere"),
}
"""One command line for each command, and some wrong ones; each character is a byte."""

USUAL = {"exec": 7, "nothing": 2, "no-command": 2, "no-guest": 2, "no-run": 2}
"""The exit status of each row where nothing is wrong, unless it is 0."""

AT_HOME = {"run", "nightly", "guests", "doctor", "shell", "exec", "gc", "stop", "no-guest"}
"""Rows that use this program's own folders."""

SHOWING = {"run", "nightly", "guests", "scenarios", "claims", "doctor", "report", "diff"}
SHOWING |= {"servers", "explain", "history", "judge", "gc", "help", "version"}
"""Rows with results on standard output."""

WITHOUT_HOME: Mapping[str, None] = {"HOME": None, "XDG_CACHE_HOME": None, "XDG_STATE_HOME": None}

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


class Environment(Struct, frozen=True):
    """What is wrong: `prefix` runs the command, `captured` descriptors go to files.

    `rows` are those for which it matters; `failing` of them may fail. `size`: the columns of a
    terminal for the output. A variable as bytes is a folder below the current one.
    """

    variables: Mapping[str, str | bytes | None] = {}
    prefix: Sequence[str] = ()
    captured: str = "12"
    folder: str = "folder"
    failing: Collection[str] = ()
    size: int | None = None
    rows: Collection[str] = ROWS.keys()


def in_shell(words: str) -> Sequence[str]:
    """Return the prefix of a command that a shell becomes with these words."""
    return ("/bin/sh", "-c", words, "sh")


ODD = "caf\xe9 \xff"
"""A folder's name, each character a byte: no UTF-8."""

WRITING = {"run", "nightly", "page", "merge", "history", "judge", "shell", "exec"}

ENVIRONMENTS = {
    "ascii, bytes that are no UTF-8": Environment(
        {**ASCII, **WITHOUT_HOME, "HOME": b"h\xff", "TMPDIR": b"h\xff"}, folder=ODD
    ),
    "utf-8, bytes that are no UTF-8": Environment(
        {**WITHOUT_HOME, "HOME": b"h\xff"}, folder=ODD, rows=AT_HOME
    ),
    "latin-1, odd time zone, no terminal type": Environment(
        {"PYTHONIOENCODING": "latin-1", "TZ": ":\x01/no", "TERM": None, "COLUMNS": "0"},
        in_shell('umask 077; exec "$@"'),
    ),
    "no PATH, no TMPDIR, odd COLUMNS": Environment(
        {"PATH": "", "TMPDIR": "/nowhere", "COLUMNS": "9" * 30, "LINES": "x", "TERM": "no such"}
    ),
    "input and errors closed": Environment({}, in_shell('exec "$@" <&- 2>&-'), "1", rows=WRITING),
    "output closed": Environment({}, in_shell('exec "$@" >&-'), "2", failing=SHOWING),
    "all closed": Environment(
        {}, in_shell('exec "$@" <&- >&- 2>&-'), "", failing=SHOWING, rows=WRITING
    ),
    "output full": Environment(
        {}, in_shell('exec "$@" > /dev/full'), "2", failing=SHOWING, rows=WRITING | {"help", "gc"}
    ),
    "errors full": Environment({}, in_shell('exec "$@" 2> /dev/full'), "1", rows=WRITING),
    "home is no folder": Environment(
        {**WITHOUT_HOME, "HOME": "/dev/null"}, failing=AT_HOME - {"gc", "stop"}, rows=AT_HOME
    ),
    "no home, no account": Environment(
        WITHOUT_HOME,
        ("unshare", "--user", "--map-user=54321", "--map-group=54321"),
        failing=AT_HOME,
        rows=AT_HOME,
    ),
    "no file may grow": Environment({"FILE_SIZE": "0"}, captured="", failing=WRITING, rows=WRITING),
    "few descriptors": Environment(
        {}, in_shell('ulimit -n 16; exec "$@"'), failing=WRITING, rows=WRITING
    ),
    "the folder is gone": Environment(
        {}, in_shell('mkdir gone; cd gone; rmdir ../gone; exec "$@"'), failing=ROWS.keys()
    ),
    "a terminal without a size": Environment(captured="", size=0, rows={"run", "report", "diff"}),
    "a terminal of one column": Environment(captured="", size=1, rows={"run", "claims", "guests"}),
    "a terminal of 65535 columns": Environment(captured="", size=65535, rows={"run", "claims"}),
}


def test_every_command_has_a_row() -> None:
    assert {words[0] for words in ROWS.values() if words} >= set(COMMANDS)


class Bench:
    """A folder with guests and two runs, to be copied for each environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "guests").mkdir(parents=True)
        (folder / "agent").write_text("an agent")
        text = "name: one\nsystem: Plan9\nhost: {}\nagent: {path: ../agent}\n"
        (folder / "guests/one.yaml").write_text(text)
        (folder / "bin").mkdir()
        for name in ("sh", "mkdir", "rmdir", "unshare"):  # no QEMU, which `doctor` would try
            found = shutil.which(name)
            if found is not None:
                (folder / "bin" / name).symlink_to(found)
        rows = {"run": (*ROWS["run"][:-1], "old")}
        assert self._run(folder, Environment(), rows) == {"run": 0}
        shutil.rmtree(folder / "home")
        shutil.copytree(folder / "old", folder / "new")

    def ended(self, parent: Path, environment: Environment) -> tuple[Path, dict[str, int]]:
        """Run every row in a copy of the folder; return it, and their exit statuses."""
        folder = parent / os.fsdecode(environment.folder.encode("latin-1"))
        shutil.copytree(self._folder, folder, symlinks=True)
        rows = {name: words for name, words in ROWS.items() if name in environment.rows}
        return folder, self._run(folder, environment, rows)

    def _run(
        self, folder: Path, environment: Environment, rows: Mapping[str, Sequence[str]]
    ) -> dict[str, int]:
        variables = {os.fsencode(name): os.fsencode(text) for name, text in os.environ.items()}
        base: dict[str, str | bytes | None] = {"HOME": str(folder / "home"), "LC_ALL": "C.UTF-8"}
        base |= {"XDG_CACHE_HOME": None, "XDG_STATE_HOME": None, "PYTHONUNBUFFERED": None}
        base |= {"PATH": str(folder / "bin"), "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
        for name, text in {**base, **environment.variables}.items():
            variables.pop(name.encode(), None)
            if text is not None:
                found = folder / os.fsdecode(text) if isinstance(text, bytes) else text
                variables[name.encode()] = os.fsencode(found)
        (folder / os.fsdecode(b"h\xff")).mkdir(exist_ok=True)
        (folder / "home").mkdir(exist_ok=True)
        statuses = folder.parent / "statuses"
        statuses.unlink(missing_ok=True)
        script = TESTS / "environment_command.py"
        command = (*environment.prefix, sys.executable, str(script), str(statuses))
        with _output(environment.size) as output:
            done = subprocess.run(
                [*command, environment.captured, json.dumps(rows)],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=TIMEOUT,
            )
        assert done.returncode == 0
        lines = statuses.read_text().splitlines()
        return {name: int(status) for name, status in map(str.split, lines)}


@contextmanager
def _output(size: int | None) -> Iterator[int]:
    """Yield a descriptor for the output: /dev/null, or a terminal of this many columns."""
    if size is None:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        yield descriptor
        os.close(descriptor)
        return
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", min(size, 1000), size, 0, 0))
    reader = threading.Thread(target=_drain, args=(ours,))
    reader.start()
    yield theirs
    os.close(theirs)
    reader.join()
    os.close(ours)


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 1 << 16):
            continue
    except OSError:  # EIO: the last process has closed the terminal
        return


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench") / "folder")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_command_ends_in_a_traceback(name: str, bench: Bench, tmp_path: Path) -> None:
    environment = ENVIRONMENTS[name]
    _skip_unless_possible(environment)
    folder, statuses = bench.ended(tmp_path, environment)
    assert statuses.keys() == set(environment.rows)
    for row, status in statuses.items():
        said = _said(tmp_path, row)
        usual = USUAL.get(row, 0)
        failed = row in environment.failing and status in (ExitStatus.USAGE, ExitStatus.UNMEASURED)
        assert status == usual or failed, (row, status, said)
        assert "Traceback" not in said
        assert "Exception ignored" not in said
        if "2" in environment.captured and row != "nothing":
            assert ("error: " in said) == (status in (2, 3)), (row, said)
            assert ("\nhint: " in said) == (status == ExitStatus.USAGE), (row, said)
    if name.startswith("output"):
        assert all(statuses[row] == ExitStatus.USAGE for row in SHOWING & statuses.keys())
        for kept in ("out/matrix.json", "nights/summary.md", "old/matrix.json"):
            assert (folder / kept).stat().st_size > 0


def _said(parent: Path, row: str) -> str:
    path = parent / f"statuses.{row}.2"
    return path.read_text(errors="replace") if path.exists() else ""


def _skip_unless_possible(environment: Environment) -> None:
    if "> /dev/full" in " ".join(environment.prefix) and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    if "unshare" in environment.prefix:
        done = subprocess.run([*environment.prefix, "true"], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no user namespace can be had here: {done.stderr.decode().strip()}")
