"""A libvirtd of the tests' own, in namespaces of its own: nothing of the machine's is touched.

As a program it is process 1 of those namespaces: it makes them ready, starts libvirt's daemons,
says `ready`, and reaps until its standard input ends. Without a process 1 that reaps, libvirt waits
minutes for each of its QEMU probes to vanish.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("unshare", "nsenter", "libvirtd", "virtlogd", "virsh", "dnsmasq", "ip", "iptables")

STATE = ("/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt")
"""Covered by folders of the test's, empty at first."""

NODES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
"""All that is left of /dev: a /dev/kvm that exists and hangs would be probed for minutes."""

QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""

SOCKET = Path("/run/libvirt/libvirt-sock")

SECONDS = 60.0


def refusal() -> str | None:
    """Why no libvirtd can be started here; None if one can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: `reuseport-matrix doctor --install --with vagrant`"
    if os.geteuid() != 0:
        return "namespaces for libvirtd need root"
    try:
        tried = ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", "true"]
        done = subprocess.run(tried, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "unshare hangs"
    said = done.stderr.decode(errors="replace").strip()
    return None if done.returncode == 0 else f"no namespaces for libvirtd: {said}"


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield what to put before a command that is to run inside; all in there ends with the block.

    `folder` takes libvirt's state.
    """
    # --kill-child is not needed: process 1 ends with its standard input, and all others with it.
    argv = ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", sys.executable, __file__]
    pipe = subprocess.PIPE
    with (folder / "daemons.log").open("wb") as log:
        process = subprocess.Popen([*argv, str(folder)], stdin=pipe, stdout=pipe, stderr=log)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert said == b"ready\n", (folder / "daemons.log").read_text(errors="replace")
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield ("nsenter", "-t", children.split()[0], "-n", "-m", "-p")
        finally:
            process.stdin.close()


def prepare(folder: Path) -> None:
    """Cover what libvirt writes to, thin out /dev, raise the loopback."""
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    for place in STATE:
        cover(folder / place.strip("/"), place)
    own = folder / "etc"
    shutil.copytree("/etc/libvirt", own)
    shutil.rmtree(own / "qemu", ignore_errors=True)  # the machine's own domains and networks
    (own / "qemu.conf").write_text(QEMU_CONF)
    run("mount", "--bind", str(own), "/etc/libvirt")
    thin_out(folder / "dev")


def cover(own: Path, place: str) -> None:
    own.mkdir(parents=True)
    Path(place).mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", str(own), place)


def thin_out(own: Path) -> None:
    """Put a /dev with just `NODES` in place of this one."""
    own.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(own))
    for name in ("pts", "shm", "net"):
        (own / name).mkdir()
    for name in NODES:
        if Path("/dev", name).exists():
            (own / name).touch()
            run("mount", "--bind", f"/dev/{name}", f"{own}/{name}")
    run("mount", "--bind", "/dev/shm", f"{own}/shm")
    run("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "none", f"{own}/pts")
    (own / "ptmx").symlink_to("pts/ptmx")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (own / name).symlink_to(f"/proc/self/fd/{number}")
    (own / "fd").symlink_to("/proc/self/fd")
    run("mount", "--move", str(own), "/dev")


def run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def start(argv: Sequence[str], pid_file: Path) -> None:
    subprocess.Popen([*argv, "--pid-file", str(pid_file)], stdin=subprocess.DEVNULL, stdout=2)


def reap() -> None:
    """Wait for whoever ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def main() -> int:
    """Be process 1 until standard input ends; the kernel then ends everybody else in here."""
    folder = Path(sys.argv[1])
    prepare(folder)
    start(["virtlogd"], folder / "virtlogd.pid")
    start(["libvirtd"], folder / "libvirtd.pid")
    until = time.monotonic() + SECONDS
    while not SOCKET.exists():
        if time.monotonic() > until:
            return 1
        time.sleep(0.05)
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    reap()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while os.read(0, 1):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
