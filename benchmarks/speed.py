"""Measures how fast a run is, as ratios from one sitting: run to bare QEMU, warm to cold, etc.

    python -m benchmarks.speed [cold] [warm] [parallel] [start] [memory] [--guest G] [--repeat N]

Without a name, it measures all of them. It fills the caches first. Each line shows one measurement;
the last line of each part shows the median ratio and its goal.
"""

import contextlib
import logging
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from harness import guests
from harness.agent import Builder, Question
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import Depth, Guest
from harness.model.guest import Qemu
from harness.providers import accelerators
from harness.providers.qemu import images, initramfs
from harness.providers.qemu.command import CPU, PROGRAM
from harness.providers.qemu.images import Images
from harness.providers.qemu.initramfs import GuestKeys
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop
from harness.run.batches import Pace, Pending, batches
from harness.scenarios import cells

PLACES = Places.of_user()

FOUR = ("linux-5.10", "linux-6.1", "linux-6.12", "linux-newest")


def free_port() -> int:
    """Return a port that was free a moment ago, which is good enough for a benchmark."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def raw_qemu(qemu: Qemu, made: Images, port: int) -> Iterator[None]:
    """Run QEMU with the fewest options that boot this kernel and initramfs."""
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
    """Try to log in, every tenth of a second, until it works."""
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
    """Run a command until it ends; return its output."""
    _in, out, _err = client.exec_command(line)
    with _in, out, _err:
        _in.write(stdin)
        _in.channel.shutdown_write()
        said = out.read()
        out.channel.recv_exit_status()
    return said


def bare(made: Images, folder: Path) -> Images:
    """Return images that contain their keys, so that they boot without our login line."""
    assert made.initrd is not None
    keys = GuestKeys(made.key, Ed25519PrivateKey.generate())
    initrd = folder / "initrd"
    initrd.write_bytes(made.initrd.read_bytes() + initramfs.own(keys))
    return replace(made, initrd=initrd)


def asked(scenarios: Iterable[str] | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield the batches that `run --quick` asks a slow guest, of all scenarios or of some.

    Each is the number of questions at once, and the questions.
    """
    pace, todo = Pace(slow=True), [Pending(cell) for cell in cells(Depth.QUICK, scenarios)]
    for batch in batches(todo, Depth.QUICK, pace):
        lines = []
        for i, one in enumerate(batch.askings):
            parameters = one.scenario.parameters(one.cell, Depth.QUICK)
            question = {**parameters, "load": str(pace.load(one.scenario))}
            lines.append(Question(f"q{i}", one.scenario.id, question).line)
        yield pace.jobs, "".join(lines).encode()


def by_hand(guest: Guest) -> tuple[float, float]:
    """Return the seconds from QEMU's start to the end of the first command, and the agent's."""
    assert guest.qemu is not None
    program = Builder(PLACES).program(guest.agent).content
    with tempfile.TemporaryDirectory() as folder:
        made = bare(images.prepare(guest.qemu, PLACES, Path(folder), Deadline(900)), Path(folder))
        port, began = free_port(), time.monotonic()
        with raw_qemu(guest.qemu, made, port), log_in(port, made.key) as client:
            command(client, "true")
            booted = time.monotonic()
            command(client, "cat > /tmp/agent && chmod 700 /tmp/agent", program)
            pushed = time.monotonic()
            for jobs, lines in asked():
                command(client, f"/tmp/agent batch jobs={jobs}", lines)
            return booted - began, time.monotonic() - pushed


def by_harness(names: Sequence[str], *options: str, peak: bool = False) -> float:
    """Return the wall time of one `run` command, or with `peak` its most memory in MiB."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "harness", "run", *names, "--out", f"{folder}/run", *options]
        with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            most = watched(process) if peak else 0
            said = process.communicate()[1]
    if process.returncode:
        raise click.ClickException(said.decode(errors="replace"))
    took = time.monotonic() - began
    return most / 1024 if peak else took


def watched(process: subprocess.Popen[bytes]) -> int:
    """Return the peak memory of a process in KiB, as last seen before its end (VmHWM)."""
    most = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status")
        with contextlib.suppress(OSError, ProcessLookupError):
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM"):
                    most = int(line.split()[1])
        time.sleep(0.05)
    return most


def cold(guest: str, repeat: int) -> None:
    """Compare a run with the same boot, login and questions without the harness."""
    machine = guests.load([guests_folder()])[guest]
    by_harness([guest], "--quick", "--cold")
    ratios = []
    for _ in range(repeat):
        boot, agent = by_hand(machine)
        total = by_harness([guest], "--quick", "--cold")
        ratios.append(total / (boot + agent))
        say(f"{guest}: boot {boot:.2f} s, agent {agent:.2f} s, run {total:.2f} s")
    say(f"{guest}: cold run / (boot + agent) = {statistics.median(ratios):.2f} (goal 1.3)")


def warm(guest: str, repeat: int) -> None:
    """Compare a guest that is resumed from a saved state with one that boots."""
    machine = guests.load([guests_folder()])[guest]
    with_one(machine, cold=False)
    starts, firsts, totals, backs = [], [], [], []
    for _ in range(repeat):
        booted, back = with_one(machine, cold=True), with_one(machine, cold=False)
        starts.append(back / booted)
        backs.append(back)
        asked = ("--scenario", "sharing", "--quick")
        first = by_harness([guest], *asked), by_harness([guest], *asked, "--cold")
        whole = by_harness([guest], "--quick"), by_harness([guest], "--quick", "--cold")
        firsts.append(first[0] / first[1])
        totals.append(whole[0] / whole[1])
        say(
            f"{guest}: to a login {back:.2f} / {booted:.2f} s, one scenario {first[0]:.2f} / "
            f"{first[1]:.2f} s, --quick {whole[0]:.2f} / {whole[1]:.2f} s"
        )
    say(f"{guest}: brought back to a login in {statistics.median(backs):.2f} s (goal 2)")
    for what, ratios in (("login", starts), ("one scenario", firsts), ("--quick", totals)):
        say(f"{guest}: warm / cold, {what} = {statistics.median(ratios):.2f} (goal 0.5)")


def with_one(guest: Guest, *, cold: bool) -> float:
    """Return the seconds until the login to a guest; its images must be ready."""
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(PLACES, lambda name: Path(folder, name), cold=cold)
        began = time.monotonic()
        with QemuProvider(workshop).boot(guest, Deadline(900)) as transport:
            took = time.monotonic() - began
            if (transport.provenance["start"] == "cold") != cold:
                say(f"{guest.name}: was {transport.provenance['start']}")
    return took


def parallel(__: str, repeat: int) -> None:
    """Compare four guests at once with the same guests one by one, on two cores."""
    by_harness(FOUR, "--quick")
    ratios = []
    for _ in range(repeat):
        alone = sum(by_harness([name], "--quick") for name in FOUR)
        together = by_harness(FOUR, "--quick", "--jobs", "2")
        ratios.append(together / (alone / 2))
        say(f"four guests: alone {alone:.1f} s, --jobs 2 {together:.1f} s")
    say(f"four guests: together / (alone / 2) = {statistics.median(ratios):.2f} (goal 1.2)")


def start(__: str, repeat: int) -> None:
    """Measure how long a command takes that only prints something."""
    for words, goal in ((["--help"], 0.25), (["guests"], 0.5)):
        times = []
        for _ in range(repeat + 2):
            began = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "harness", *words], check=True, stdout=subprocess.DEVNULL
            )
            times.append(time.monotonic() - began)
        say(f"{words[0]}: {statistics.median(times[1:]):.2f} s (goal {goal})")


def memory(guest: str, _: int) -> None:
    """Measure the harness's own memory with eight guests up (it measures one at a time)."""
    with tempfile.TemporaryDirectory() as folder:
        text = "system: Linux\nagent: {target: x86_64-linux-musl}\nqemu:\n"
        text += "  debian: {suites: [bookworm], package: linux-image-cloud-amd64}\n"
        names = [f"eight-{number}" for number in range(8)]
        for name in names:
            Path(folder, f"{name}.yaml").write_text(f"name: {name}\n{text}")
        options = ("--guests", folder, "--jobs", "8", "--scenario", "sharing", "--quick")
        peak = by_harness(names, *options, peak=True)
    say(f"eight guests like {guest}: {peak:.0f} MiB at most in one process (goal 200)")


def say(line: str) -> None:
    """Print a line immediately."""
    click.echo(line)
    sys.stdout.flush()


PARTS = {"cold": cold, "warm": warm, "parallel": parallel, "start": start, "memory": memory}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice([*PARTS]))
@click.option("--guest", default="linux-6.1", show_default=True)
@click.option("--repeat", default=3, show_default=True)
def main(parts: Sequence[str], guest: str, repeat: int) -> None:
    """Measure the cost of the harness: the parts you name, or all."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # logins that come too early
    for part in parts or PARTS:
        PARTS[part](guest, repeat)


if __name__ == "__main__":
    main()
