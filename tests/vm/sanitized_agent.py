"""Compiles the agent's C code for the tests: every warning is an error, with sanitizers."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.machine.places import Places
from harness.machine.resources import guests_folder

SOURCES = guests_folder() / "agent"

STRICT = ("-std=c99", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-pedantic")

SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def zig(target: str) -> list[str]:
    """Return the command of Zig's compiler for a target, with the harness's own cache."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("Zig is not installed")
    folder = Places.of_user().folder("zig")
    caches = [f"ZIG_GLOBAL_CACHE_DIR={folder}/global", f"ZIG_LOCAL_CACHE_DIR={folder}/local"]
    command = [sys.executable, "-m", "ziglang", "cc"]
    return ["env", *caches, *command, *(["-target", target] if target else [])]


def compiled(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def c_files() -> list[str]:
    return sorted(map(str, SOURCES.glob("*.c")))


def sanitized_agent(folder: Path) -> Path:
    """Build it with this machine's compiler and sanitizers, or with Zig's (undefined only)."""
    made = folder / "agent"
    cc = shutil.which("cc")
    if cc is not None:
        compiled([cc, *STRICT, *SANITIZED, "-o", str(made), *c_files()], folder)
    else:  # a minimal machine has no compiler, and Zig has no AddressSanitizer run-time library
        undefined = ["-g", "-O1", "-fsanitize=undefined"]
        compiled([*zig(""), *STRICT, *undefined, "-o", str(made), *c_files()], folder)
    return made
