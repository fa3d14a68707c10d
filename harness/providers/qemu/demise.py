"""Says why a guest's QEMU ended: from its status, its own messages and the guest's console."""

import re
import signal
from collections.abc import Sequence

from msgspec import Struct

from harness.model.guest import Qemu
from harness.providers.qemu.command import PROGRAM

SAID: Sequence[tuple[str, str]] = (
    (r"unsupported machine type", "correct `machine`; `{program} -machine help` lists them"),
    (r"unable to find CPU model", "correct `cpu`; `{program} -cpu help` lists them"),
    (r"'(.+)' is not a valid device", "`{program} -device help` lists devices; see `nic`"),
    (r"No '.+' bus found", "set a `machine` that has this bus (`pc`, `q35`), or another `nic`"),
    (r"Invalid SMP CPUs", "set fewer `cpus`; it asks for {cpus}"),
    (r"Cannot allocate memory|set up guest memory", "set less `memory`; it asks for {memory} MiB"),
    (
        r"/kvm/|KVM|failed to set MSR|hvf|HV_ERROR",
        "the accelerator does not work here: leave out `accelerator`, and one that works is chosen",
    ),
    (r"host forwarding rule|slirp", "QEMU needs the loopback interface: `ip link set lo up`"),
    (r"No space left|Disk quota", "make room in the cache: `reuseport-matrix gc --cache`"),
    (r"Permission denied", "make the file readable for this user"),
    (r"invalid option|Property '|Invalid parameter|expects a", "correct `arguments`"),
)
"""A part of QEMU's own messages, and what to do. The first that fits."""

PRINTED: Sequence[tuple[str, str]] = (
    (
        r"deadlocked on memory|Out of memory|not enough memory|Insufficient memory|unable to alloc",
        "set more `memory`; it has {memory} MiB",
    ),
    (
        r"Unable to mount root|No working init|No init found|Requested init|Attempted to kill init",
        "correct `append` (`root=`, `init=`), `initrd` or `disk`: the kernel finds no system there",
    ),
    (
        r"requires? .*(CPU|long mode|x86-64)|unsupported CPU|CPU is not supported",
        "set another `cpu`; it has {cpu}",
    ),
)
"""A part of the console's text, and what to do."""

SMALL = 128
"""MiB below which a Debian kernel with its initramfs may end before it prints anything."""


class Demise(Struct, frozen=True):
    """How QEMU ended: exit status (negative: a signal), its messages, and the guest's console."""

    status: int
    said: str
    console: str

    @property
    def sentence(self) -> str:
        """What happened, for a message."""
        if self.status < 0:
            name = signal.Signals(-self.status).name
            return f"QEMU was ended by {name}: {self.said or 'it said nothing'}"
        if self.said or self.status != 0:
            return f"QEMU ended with status {self.status}: {self.said or 'it said nothing'}"
        when = "" if self.console else " before it printed anything"
        return f"the guest restarted or switched off{when}, so QEMU ended"

    def advice(self, qemu: Qemu) -> str | None:
        """What the guest file should change; None if nothing is known."""
        asked = {"program": PROGRAM, "memory": qemu.memory, "cpus": qemu.cpus}
        asked["cpu"] = qemu.cpu or "every feature that QEMU has (`max`)"
        for text, table in ((self.said, SAID), (self.console, PRINTED)):
            for pattern, hint in table:
                if re.search(pattern, text, re.IGNORECASE):
                    return f"in the guest file: {hint.format(**asked)}"
        if self.status == -signal.SIGKILL:
            return (
                "the system may have ended it for want of memory (`dmesg` says so); it may take "
                f"{qemu.memory} MiB: set less `memory` in the guest file, or use fewer `--jobs`"
            )
        silent = not self.said and not self.console
        return unseen(qemu) if silent and self.status == 0 else None


def unseen(qemu: Qemu) -> str:
    """Return what to change for a guest that prints nothing at all."""
    causes = [f"too little `memory` (it has {qemu.memory} MiB)"]
    if qemu.cpu is not None:
        causes.insert(0, f"a `cpu` that the kernel does not run on ({qemu.cpu})")
        if qemu.memory < SMALL:
            causes.reverse()
    if qemu.machine is not None:
        causes.append(f"a `machine` that it does not run on ({qemu.machine})")
    causes.append("a kernel that is not for this machine, or without a serial console")
    return f"likely causes in the guest file: {'; '.join(causes)}"
