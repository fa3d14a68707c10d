"""Asks the agent `restart` about a tiny server, for the tests; nothing may be left of it."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_agent_targets import running

from harness.deadline import Deadline
from harness.providers.host import isolated

SERVER = Path(__file__).parent / "fickle_server.py"

TROUBLE = {"leftover", "port-kept", "failed", "failed-stop", "uncovered"}

RELOAD = ("write", "signal HUP main", "new")


def in_namespace(program: Path) -> Path:
    """Skip the test where no network namespace can be had."""
    if isolated(Deadline(10)) != "network namespace":
        pytest.skip("no network namespace can be had here (unshare -n)")
    return program


def fickle(mode: str) -> str:
    return f"exec {sys.executable} {SERVER} {{port}} conf {mode}"


@dataclass(frozen=True)
class Plan:
    """A server as docs/wire.md writes it."""

    start: str
    way: Sequence[str] = RELOAD
    stop: Sequence[str] = ("signal TERM main",)
    files: Mapping[str, str] = field(default_factory=lambda: {"conf": "{generation}"})
    head: Sequence[str] = ()
    protocol: str = "http"
    request: bytes = b""
    answer: bytes = b""
    ready: int = 5000

    def write(self, agent: Path) -> None:
        lines = [b"plan 1", *(line.encode() for line in self.head)]
        lines += [f"protocol {self.protocol}".encode(), b"workers 2"]
        for word, text in (("request", self.request), ("answer", self.answer)):
            lines += [f"{word} {len(text)}".encode(), text] if text else []
        for path, content in self.files.items():
            lines += [f"file {path} {len(content)}".encode(), content.encode()]
        lines += [f"start {self.start}".encode(), f"ready {self.ready}".encode(), b"way reload"]
        lines += [f"step {step}".encode() for step in self.way]
        lines += [b"stop", *(f"step {step}".encode() for step in self.stop), b"end", b""]
        (agent.parent / "server-x").write_bytes(b"\n".join(lines))


@dataclass(frozen=True)
class Said:
    """The lines of one answer."""

    lines: Sequence[Mapping[str, Any]]

    def events(self, event: str) -> list[Mapping[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    @property
    def facts(self) -> dict[str, Any]:
        return {fact["name"]: fact["value"] for fact in self.events("fact")}

    def fates(self, phase: str) -> Counter[int | str]:
        (flows,) = [line for line in self.events("flows") if line["phase"] == phase]
        return Counter(flows["fates"])

    @property
    def start(self) -> tuple[str | None, str | None]:
        (attempt,) = self.events("attempt")
        return attempt["call"], attempt["error"]


def command(agent: Path, *words: str) -> list[str]:
    return ["unshare", "-n", str(agent), *words]


def question(*more: str) -> str:
    usual = {"flows": "600", "rounds": "3", "kept": "4", "loopback": "up"}
    numbers = usual | dict(one.split("=") for one in more)
    words = [f"{key}={value}" for key, value in numbers.items()]
    return " ".join(["restart", "server=x", "restart=reload", *words])


def answered(agent: Path, plan: Plan, *more: str, status: int = 0, ends: int = 0) -> Said:
    plan.write(agent)
    done = subprocess.run(
        command(agent, "batch"),
        input=f"q {question(*more)}\n".encode(),
        capture_output=True,
        timeout=90,
        check=True,
        env=environment(agent),
    )
    whole = [line for line in done.stdout.splitlines() if line.endswith(b"}")]
    said = Said([json.loads(line) for line in whole])
    (end,) = said.events("exit")
    assert (end["status"], end["signal"], done.stderr) == (status, ends, b"")
    assert_nothing_is_left(agent)
    return said


def own_folders(agent: Path) -> Path:
    """Return where the folders of servers are made."""
    made = agent.parent / "folders"
    made.mkdir(exist_ok=True)
    return made


def environment(agent: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(own_folders(agent))}


def servers(agent: Path) -> list[int]:
    """Return the processes of servers: their home is their folder."""
    found = []
    for process in psutil.process_iter():
        try:
            home = process.environ().get("HOME", "")
            if home.startswith(f"{own_folders(agent)}/"):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def assert_nothing_is_left(agent: Path) -> None:
    until = time.monotonic() + 5
    while (servers(agent) or running(agent)) and time.monotonic() < until:
        time.sleep(0.02)
    assert (servers(agent), running(agent)) == ([], [])
    assert [*own_folders(agent).iterdir()] == []
