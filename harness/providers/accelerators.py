"""Chooses the accelerator of a guest's QEMU by trying each one with a short boot.

A device file proves nothing: `/dev/kvm` may exist, answer its first ioctls, and then hang.
"""

import logging
import platform
import re
import shutil
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from harness import clocks
from harness.deadline import Deadline
from harness.machine.files import identity, recall, remember
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute
from harness.providers import firmware

logger = logging.getLogger(__name__)

CANDIDATES = {"Linux": ("kvm",), "Darwin": ("hvf",), "NetBSD": ("nvmm",)}
"""Host system to its accelerators, best first. TCG, which needs nothing, comes after them."""

TCG = "tcg"

TRY_SECONDS = 5.0
"""Limit for a firmware of a few instructions; a working accelerator runs it in a fraction of a
second. The trial comes before any guest has a deadline."""


class AcceleratorTrial(Struct, frozen=True):
    """The result of trying one accelerator; `why` says why it does not work, None if it does."""

    accelerator: str
    why: str | None


class _TriedAccelerators(Struct, frozen=True):
    """Results, and the `machine` they are valid for: this boot of this kernel, this QEMU."""

    machine: tuple[str, ...]
    trials: tuple[AcceleratorTrial, ...]


def program_for(architecture: str) -> Path | None:
    """Return the path of the QEMU for this architecture; None if it is not installed."""
    found = shutil.which(f"qemu-system-{architecture}")
    return None if found is None else Path(found)


def best(program: Path, places: Places) -> str:
    """Return the first accelerator that works."""
    return next(trial.accelerator for trial in trials(program, places) if trial.why is None)


def slow_factor(accelerator: str) -> float:
    """Return the slow-host factor: how much longer than on a fast host things may take."""
    return clocks.SLOW if accelerator.partition(",")[0] == TCG else 1.0


def ties(accelerator: str) -> tuple[str, ...]:
    """Return what must be the same for a saved guest to be resumed.

    An emulated guest (TCG) resumes on any machine. With hardware acceleration the host's kernel
    release and CPU must be the same.
    """
    return () if accelerator == TCG else (platform.release(), _processor())


def trials(program: Path, places: Places) -> tuple[AcceleratorTrial, ...]:
    """Return the result for each accelerator of this system, TCG last; tried once per host boot."""
    machine = _machine(program)
    memory = places.folder("accelerators") / "trials.json"
    known = recall(memory, _TriedAccelerators)
    if known is not None and known.machine == machine:
        return known.trials
    candidates = CANDIDATES.get(platform.system(), ())
    found = (*(attempt(program, name) for name in candidates), AcceleratorTrial(TCG, None))
    remember(memory, _TriedAccelerators(machine, found))
    return found


def attempt(program: Path, accelerator: str) -> AcceleratorTrial:
    """Start a virtual CPU like a guest's; wait for long mode, at most `TRY_SECONDS`."""
    with tempfile.TemporaryDirectory() as folder:
        bios = Path(folder, "firmware")
        bios.write_bytes(firmware.image())
        argv = [str(program), "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-machine", "pc", "-m", "16", "-accel", accelerator, "-cpu", "max"]
        argv += ["-bios", str(bios), "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        started = time.monotonic()
        try:
            done = execute(argv, Deadline(TRY_SECONDS))
        except ToolTimeoutError:
            return AcceleratorTrial(accelerator, f"hangs: no long mode within {TRY_SECONDS:.0f} s")
    if done.status == firmware.EXIT_STATUS:
        logger.info("%s works (%.1f s)", accelerator, time.monotonic() - started)
        return AcceleratorTrial(accelerator, None)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return AcceleratorTrial(accelerator, said[-1] if said else f"QEMU ended with {done.status}")


def _machine(program: Path) -> tuple[str, ...]:
    """Identify this boot of this machine, and this QEMU by its file instead of its version."""
    return (identity(program), platform.release(), _boot_id())


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor()
    found = re.findall(r"^(?:model name|flags|microcode)\s*:.*$", text, re.MULTILINE)
    return "\n".join(sorted(set(found)))


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""  # only Linux has it; elsewhere results hold until QEMU or the kernel changes
