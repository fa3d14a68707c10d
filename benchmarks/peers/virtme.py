"""virtme-ng: `vng --run KERNEL --exec AGENT`, a guest that uses this machine's files.

Needs virtme-ng beside this Python or on the PATH, and the tools in `NEEDS`. Both sides emulate one
CPU of the same kind with the same memory, boot the same file and answer the same questions; our
side also writes its reports. The kernel is Debian's generic one, because a cloud kernel has no 9p
and panics under virtme-ng without a suitable virtiofsd.
"""

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.peers.peer import SCENARIO, Peer, timed
from benchmarks.speed import PLACES, asked
from harness import guests
from harness.agent import Builder
from harness.deadline import Deadline
from harness.model import DebianKernel, Guest
from harness.providers.packages.debian import WANTED, Debian
from harness.providers.qemu.command import PROGRAM
from harness.providers.qemu.images import image_in

KERNEL = DebianKernel(("bookworm",), "linux-image-amd64")

GUEST = """\
name: generic
system: Linux
agent: {{target: x86_64-linux-musl}}
qemu: {{kernel: "{kernel}", modules: "{modules}", accelerator: tcg}}
"""

NEEDS = {
    "vng": "pip install virtme-ng",
    PROGRAM: "apt-get install qemu-system-x86",
    "modprobe": "apt-get install kmod",
    "udevadm": "apt-get install udev",
    "busybox": "apt-get install busybox-static",
    "file": "apt-get install file",
}

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
"""Includes the commands of this Python's environment, so you need not activate it."""

VIRTIOFSD = "/usr/libexec/virtiofsd"
"""Debian's path of the Rust version (from 13 on). The C version, part of QEMU up to 7.2, is too old
for virtme-ng, which takes three seconds to find that out."""


@contextlib.contextmanager
def ready() -> Iterator[Peer]:
    """Prepare a kernel with all modules, a guest file, agent and questions; yield the peer."""
    missing = [how for tool, how in NEEDS.items() if shutil.which(tool, path=PATH) is None]
    if missing:
        raise click.ClickException(f"virtme-ng cannot run yet; first: {'; '.join(missing)}")
    packages = Debian(PLACES, wanted=(*WANTED, "*lib/modules/*")).kernel(KERNEL, Deadline(900))
    kernel, package = image_in(packages)
    with tempfile.TemporaryDirectory() as name:
        text = GUEST.format(kernel=kernel, modules=package.root)
        Path(name, "generic.yaml").write_text(text)
        guest = guests.load([Path(name)])["generic"]
        command, answers = asking(guest, Path(name))
        how = shared()
        argv = [*vng(guest, how), "--exec", command]

        def once() -> float:
            seconds, said = timed(argv, {"PATH": PATH})
            if said.count(b'"event":"exit"') != answers:
                raise click.ClickException(f"virtme-ng's guest did not answer: {said!r}")
            return seconds

        yield Peer(f"vng by {how}", once, "generic", ("--guests", name), 1.0)


def asking(guest: Guest, folder: Path) -> tuple[str, int]:
    """Write agent and questions to a folder; return the shell command that asks, and the number."""
    program, questions = folder / "agent", folder / "questions"
    program.write_bytes(Builder(PLACES).program(guest.agent).content)
    program.chmod(0o755)
    ((jobs, lines),) = asked([SCENARIO])
    questions.write_bytes(lines)
    command = f"{shlex.quote(str(program))} batch jobs={jobs} < {shlex.quote(str(questions))}"
    return command, lines.count(b"\n")


def shared() -> str:
    """Return the fastest way that works to share this machine's files with virtme-ng's guest."""
    rust = shutil.which("virtiofsd", path=PATH) or Path(VIRTIOFSD).exists()
    return "virtiofs" if rust else "9p"


def vng(guest: Guest, how: str) -> Sequence[str]:
    """Return the command that boots a guest's kernel with the guest's CPUs and memory."""
    assert guest.qemu is not None
    assert guest.qemu.kernel is not None
    argv = ["vng", "--run", guest.qemu.kernel, "--disable-kvm"]
    argv += ["--cpus", str(guest.qemu.cpus), "--memory", f"{guest.qemu.memory}M"]
    return [*argv, "--force-9p"] if how == "9p" else argv
