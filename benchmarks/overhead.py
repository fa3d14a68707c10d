"""What the harness costs on top of a guest's boot and the agent's own time, as ratios of one run.

    python benchmarks/overhead.py [--guest linux-6.1] [--repeat 3] [--parallel]

By hand: QEMU with the same kernel and initramfs, a bare SSH login, the same questions to the same
agent. Against that: `run GUEST --quick`, caches warm in both. With `--parallel` four guests with
`--jobs 2` against the four alone. Prints each time and the median ratio.
"""

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click
import paramiko

from harness import guests
from harness.agent import Builder
from harness.deadline import Deadline
from harness.model import Depth, Guest, Qemu
from harness.places import Places
from harness.providers.qemu import accelerators, images
from harness.providers.qemu.command import CPU, PROGRAM
from harness.providers.qemu.images import Images
from harness.resources import guests_folder
from harness.scenarios import CATALOGUE, cells

PLACES = Places.of_user()

FOUR = ("linux-5.10", "linux-6.1", "linux-6.12", "linux-newest")


def free_port() -> int:
    """Return a port that was free a moment ago: good enough for a benchmark."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def raw_qemu(qemu: Qemu, made: Images, port: int) -> Iterator[None]:
    """Run the barest QEMU that boots this kernel and initramfs."""
    accelerator = accelerators.best(Path("/usr/bin") / PROGRAM, PLACES)
    argv = [PROGRAM, "-nodefaults", "-display", "none", "-no-reboot", "-m", str(qemu.memory)]
    argv += ["-accel", accelerator, "-cpu", qemu.cpu or CPU]
    argv += ["-kernel", str(made.kernel), "-initrd", str(made.initrd)]
    argv += ["-append", f"console=ttyS0 panic=-1 {qemu.append}", "-serial", "null"]
    if qemu.machine is not None:
        argv += ["-machine", qemu.machine]
    argv += ["-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"]
    argv += ["-device", f"{qemu.nic},netdev=n,romfile="]
    process = subprocess.Popen([*argv, *qemu.arguments])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def log_in(port: int, key: paramiko.PKey) -> paramiko.SSHClient:
    """Try every tenth of a second until a login works."""
    while True:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        try:
            client.connect(
                "127.0.0.1",
                port,
                "root",
                pkey=key,
                banner_timeout=2,
                timeout=2,
                allow_agent=False,
                look_for_keys=False,
            )
        except (paramiko.SSHException, OSError):
            time.sleep(0.1)
        else:
            return client


def command(client: paramiko.SSHClient, line: str, stdin: bytes = b"") -> bytes:
    """Run a command to its end."""
    _in, out, _err = client.exec_command(line)
    with _in, out, _err:
        _in.write(stdin)
        _in.channel.shutdown_write()
        said = out.read()
        out.channel.recv_exit_status()
    return said


def batches() -> Iterator[tuple[int, bytes]]:
    """Yield what `run --quick` asks: for each scenario how many at once, and the questions."""
    for name, group in groupby(cells(Depth.QUICK), key=lambda cell: cell.scenario):
        lines = []
        for i, cell in enumerate(group):
            parameters = CATALOGUE[name].parameters(cell, Depth.QUICK)
            pairs = " ".join(f"{key}={value}" for key, value in parameters.items())
            lines.append(f"q{i} {name} {pairs}\n")
        yield CATALOGUE[name].parallel, "".join(lines).encode()


def by_hand(guest: Guest) -> tuple[float, float]:
    """Return seconds from QEMU's start to the first command's end, and the agent's own."""
    assert guest.qemu is not None
    program = Builder(PLACES).program(guest.agent).content
    with tempfile.TemporaryDirectory() as folder:
        made = images.prepare(guest.qemu, PLACES, Path(folder), Deadline(900))
        port, began = free_port(), time.monotonic()
        with raw_qemu(guest.qemu, made, port), log_in(port, made.key) as client:
            command(client, "true")
            booted = time.monotonic()
            command(client, "cat > /tmp/agent && chmod 700 /tmp/agent", program)
            pushed = time.monotonic()
            for jobs, lines in batches():
                command(client, f"/tmp/agent batch jobs={jobs}", lines)
            return booted - began, time.monotonic() - pushed


def by_harness(names: Sequence[str], *options: str) -> float:
    """Return the wall time of one `run --quick`, from the command's start to its end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "harness", "run", *names, "--quick", "--out", f"{folder}/run"]
        subprocess.run([*run, *options], check=True, capture_output=True)
    return time.monotonic() - began


def overhead(name: str, repeat: int) -> None:
    """Print the ratio of one guest."""
    guest = guests.load([guests_folder()])[name]
    by_harness([name])  # fills the caches
    ratios = []
    for _ in range(repeat):
        boot, agent = by_hand(guest)
        total = by_harness([name])
        ratios.append(total / (boot + agent))
        print(f"{name}: boot {boot:.2f} s, agent {agent:.2f} s, run {total:.2f} s", flush=True)
    print(f"{name}: total / (boot + agent) = {statistics.median(ratios):.2f} (goal 1.5)")


def parallel(repeat: int) -> None:
    """Print what two at a time save."""
    by_harness(FOUR)
    ratios = []
    for _ in range(repeat):
        alone = sum(by_harness([name]) for name in FOUR)
        together = by_harness(FOUR, "--jobs", "2")
        ratios.append(together / alone)
        print(f"four guests: alone {alone:.1f} s, --jobs 2 {together:.1f} s", flush=True)
    print(f"four guests: together / alone = {statistics.median(ratios):.2f} (goal 0.7)")


@click.command()
@click.option("--guest", default="linux-6.1", show_default=True)
@click.option("--repeat", default=3, show_default=True)
@click.option("--parallel", "several", is_flag=True, help="Four guests instead of one.")
def main(guest: str, repeat: int, several: bool) -> None:
    """Measure what the harness costs."""
    if several:
        parallel(repeat)
    else:
        overhead(guest, repeat)


if __name__ == "__main__":
    main()
