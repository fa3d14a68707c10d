"""virtme-ng: `vng --run KERNEL --exec AGENT`, whose guest has this machine's files as its own.

Needs virtme-ng beside this Python or on the PATH, and the tools in `NEEDS`. Both sides emulate one
CPU of the same kind with the same memory, boot the same file and answer the same questions; ours
also writes its reports. The kernel is Debian's generic one: a cloud kernel has no 9p, so that
virtme-ng panics with it where there is no virtiofsd that it can use.
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
"""With the commands of this Python's environment, which need not be activated."""

VIRTIOFSD = "/usr/libexec/virtiofsd"
"""Where Debian has the one in Rust (from 13 on). The one in C that came with QEMU up to 7.2 is not
good enough for virtme-ng, which takes three seconds to find that out."""


@contextlib.contextmanager
def ready() -> Iterator[Peer]:
    """Have a kernel with all its modules, a guest file for it, the agent and the questions."""
    missing = [how for tool, how in NEEDS.items() if shutil.which(tool, path=PATH) is None]
    if missing:
        raise click.ClickException(f"virtme-ng cannot be run here before: {'; '.join(missing)}")
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
    """Put agent and questions into a folder; return what a shell asks them by, and how many."""
    program, questions = folder / "agent", folder / "questions"
    program.write_bytes(Builder(PLACES).program(guest.agent).content)
    program.chmod(0o755)
    ((jobs, lines),) = asked([SCENARIO])
    questions.write_bytes(lines)
    command = f"{shlex.quote(str(program))} batch jobs={jobs} < {shlex.quote(str(questions))}"
    return command, lines.count(b"\n")


def shared() -> str:
    """Return by what virtme-ng gives its guest this machine's files: the fastest that works."""
    rust = shutil.which("virtiofsd", path=PATH) or Path(VIRTIOFSD).exists()
    return "virtiofs" if rust else "9p"


def vng(guest: Guest, how: str) -> Sequence[str]:
    """Return the command that boots the kernel of a guest, with CPUs and memory of the guest."""
    assert guest.qemu is not None
    assert guest.qemu.kernel is not None
    argv = ["vng", "--run", guest.qemu.kernel, "--disable-kvm"]
    argv += ["--cpus", str(guest.qemu.cpus), "--memory", f"{guest.qemu.memory}M"]
    return [*argv, "--force-9p"] if how == "9p" else argv
