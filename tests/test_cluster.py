"""Whom home connects to in a cluster, what it calls them, and what it unpickles."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import connect, identity
from harness.cluster.crew import Worker
from harness.cluster.identity import Identity
from harness.cluster.names import LONGEST, machine_name, unique
from harness.cluster.plain import only_plain_pickles
from harness.errors import (
    UsageError,
)
from harness.machine.version import version
from harness.model import GUEST_NAME

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("given", "host", "name"),
    [
        ("mac-mini", "h", "mac-mini"),
        ("tcp://127.0.0.1:5", "kvm.lab.example", "kvm.lab.example"),
        (3, "box", "box"),
        (None, "box", "box"),
        ("../../etc", "h", "etc"),
        ("a b/c\x1b[2J", "h", "a-b-c-2J"),
        ("@@@", "h", "machine"),
        ("x" * 200, "h", "x" * LONGEST),
    ],
)
def test_a_machine_has_a_name_that_fits_a_folder(given: object, host: str, name: str) -> None:
    found = machine_name(given, "tcp://127.0.0.1:5", host)
    assert found == name
    assert GUEST_NAME.fullmatch(found)


def test_names_are_unique() -> None:
    assert unique(["a", "a", "a-2", "b"]) == ("a", "a-2", "a-2-2", "b")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("127.0.0.1", "tcp://127.0.0.1:8786"),
        ("localhost:9", "tcp://localhost:9"),
        ("tcp://[::1]:9", "tcp://[::1]:9"),
        ("tls://lab.example", "tls://lab.example:8786"),
    ],
)
def test_an_address_is_completed(given: str, address: str) -> None:
    assert connect.check_address(given, without_tls=False) == address


@pytest.mark.parametrize("given", ["tcp://192.0.2.1:8786", "192.0.2.1:8786", "tcp://0.0.0.0:1"])
def test_another_machine_needs_tls_or_a_word_of_consent(given: str) -> None:
    with pytest.raises(UsageError, match="has no TLS") as caught:
        connect.check_address(given, without_tls=False)
    assert caught.value.hint is not None
    assert "--cluster-without-tls" in caught.value.hint
    assert connect.check_address(given, without_tls=True).startswith("tcp://")


@pytest.mark.parametrize("given", ["", "http://x", "inproc://x", "tcp://", "tcp://h:99999", "a/b"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="no address of a scheduler"):
        connect.check_address(given, without_tls=True)


def worker(name: str, version: str, digest: str) -> Worker:
    known = Identity(version, digest, name, "Linux", "x86_64", "x86_64-linux-musl", 2, 1, False)
    return Worker(name, f"tcp://{name}", 2, known)


def test_only_machines_with_the_same_program_are_used(caplog: pytest.LogCaptureFixture) -> None:
    ours = worker("ours", version(), identity.digest())
    other, bare = worker("other", "9.9", "abc"), Worker("bare", "tcp://x", 1, None)
    assert connect.equals([ours, other, bare], "tcp://s") == (ours,)
    assert "other has version 9.9 (abc), and this is" in caplog.text
    assert "bare (tcp://x) was started without our preload" in caplog.text
    with pytest.raises(UsageError, match="has no machine for this run") as caught:
        connect.equals([other, bare], "tcp://s")
    assert "9.9" in str(caught.value)
    with pytest.raises(UsageError, match="no worker has joined"):
        connect.equals([], "tcp://s")


class Surprise:
    """Prints when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Return how to make it again."""
        return print, ("gotcha",)


def test_only_plain_data_is_unpickled(capsys: pytest.CaptureFixture[str]) -> None:
    evil = pickle.dumps(Surprise())
    with only_plain_pickles():
        assert pickle.loads(pickle.dumps({"a": [1, b"x", None]})) == {"a": [1, b"x", None]}
        for load in (pickle.loads, pickle._loads):  # type: ignore[attr-defined]  # in C, in Python
            with pytest.raises(pickle.UnpicklingError, match="only plain data"):
                load(evil)
    assert capsys.readouterr().out == ""
    pickle.loads(evil)
    assert capsys.readouterr().out == "gotcha\n"


def test_a_run_without_a_cluster_imports_nothing_of_dask(tmp_path: Path) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "from harness.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    words = ["run", "host", "--provider", "ssh", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    loaded = done.stderr.splitlines()[-1].split()
    assert "harness.run.engine" in loaded
    unwanted = ("dask", "distributed", "tornado", "msgpack", "harness.cluster")
    assert [one for one in loaded if one.startswith(unwanted)] == []


def test_without_dask_a_clear_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="not installed") as caught, connect.connected("localhost"):
        pass
    assert caught.value.hint is not None
    assert "[cluster]" in caught.value.hint
