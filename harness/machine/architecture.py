"""What machine this is: the one place that says it, for agents, kernels and boxes."""

import platform
import sys
from collections.abc import Mapping
from pathlib import Path

NAMES: Mapping[str, str] = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "i386": "x86",
    "i486": "x86",
    "i586": "x86",
    "i686": "x86",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
}
"""The output of `uname -m` (Windows says `AMD64`), and the name that Zig and this program use."""

WIDER: Mapping[str, str] = {"x86": "x86_64", "arm": "aarch64"}
"""A 32-bit machine, and the 64-bit one whose kernel can call itself so."""

KERNEL = Path("/proc/sys/kernel/arch")
"""Linux 6.1 and later: what the kernel was built for, whatever the personality of a process."""


def named(machine: str) -> str:
    """Return the usual name of a machine that `uname -m` calls by another."""
    return NAMES.get(machine.lower(), machine)


def machine() -> str:
    """Return the machine that this kernel was built for, such as `x86_64`.

    In a 32-bit container, or under setarch(8), `uname` of a 64-bit kernel names a 32-bit machine
    (personality(2), PER_LINUX32). This interpreter tells them apart if it is a 64-bit program.
    """
    try:
        said = named(KERNEL.read_text("ascii").strip())
    except (OSError, ValueError):
        said = named(platform.machine())
    return WIDER.get(said, said) if sys.maxsize > 1 << 32 else said
