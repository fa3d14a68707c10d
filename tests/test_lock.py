"""Locks between processes: had, waited for in vain, cancelled, freed by a death."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.agent import Builder
from harness.deadline import Cancellation, Deadline
from harness.errors import AgentError, InfrastructureError
from harness.machine.lock import locked
from harness.machine.places import Places

HOLDER = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print(flush=True)
    time.sleep(60)
"""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process hold a lock."""
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_one_at_a_time_and_no_more_than_the_time_there_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, Deadline(5)) as ours:
        assert ours
        with held(tmp_path / "other"), locked(tmp_path / "other", Deadline(0.3)) as another:
            assert not another
    with locked(path, Deadline(5)) as again:
        assert again


def test_the_death_of_its_holder_frees_it(tmp_path: Path) -> None:
    with held(tmp_path / "lock") as process:
        threading.Timer(0.3, process.kill).start()
        with locked(tmp_path / "lock", Deadline(20)) as ours:
            assert ours


def test_a_cancellation_ends_the_wait(tmp_path: Path) -> None:
    cancellation = Cancellation()
    threading.Timer(0.3, cancellation.say).start()
    began = time.monotonic()
    with (
        held(tmp_path / "lock"),
        locked(tmp_path / "lock", Deadline(60, cancellation)) as ours,
    ):
        assert not ours
        assert time.monotonic() - began < 5


def test_who_waits_is_told_so_once(tmp_path: Path) -> None:
    told: list[str] = []
    with locked(tmp_path / "free", Deadline(5), lambda: told.append("free")) as ours:
        assert ours
    with (
        held(tmp_path / "lock"),
        locked(tmp_path / "lock", Deadline(1), lambda: told.append("held")) as ours,
    ):
        assert not ours
    assert told == ["held"]


def compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a `cc` first on PATH: not every machine has one."""
    (folder / "cc").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "cc").chmod(0o700)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_cancellation_ends_the_wait_for_another_runs_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 'while [ $# -gt 0 ]; do [ "$1" = -o ] && cp /bin/true "$2"; shift; done; exit 0'
    compiler(tmp_path, monkeypatch, written)
    cancellation = Cancellation()
    places = Places(tmp_path / "cache", tmp_path / "state")
    made = Builder(places).build("native")
    (kept,) = [path for path in places.folder("agents").iterdir() if path.suffix != ".lock"]
    kept.unlink()
    assert made.content
    threading.Timer(0.3, cancellation.say).start()
    with (
        held(kept.with_name(f"{kept.name}.lock")),
        pytest.raises(AgentError, match="another run still builds"),
    ):
        Builder(places, cancellation=cancellation).build("native")


def test_a_cancellation_ends_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(tmp_path, monkeypatch, "exec sleep 60")
    cancellation = Cancellation()
    threading.Timer(0.5, cancellation.say).start()
    began = time.monotonic()
    places = Places(tmp_path / "cache", tmp_path / "state")
    with pytest.raises(InfrastructureError, match="ended from outside"):
        Builder(places, cancellation=cancellation).build("native")
    assert time.monotonic() - began < 10
    assert [path.suffix for path in places.folder("agents").iterdir()] == [".lock"]
