"""A libvirtd for the tests in its own namespaces; that of the machine is not touched.

As a program, this is process 1 of the namespaces: it prepares them, starts libvirt's daemons,
prints `ready`, and reaps processes until its standard input ends. Without a process 1 that reaps,
libvirt waits minutes for the end of each of its QEMU probes.
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
"""Folders that are replaced by empty folders of the test."""

NODES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
"""The only devices in /dev. A /dev/kvm that exists but hangs would be probed for minutes."""

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
    """Return why no libvirtd can be started here; None if it can."""
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
    """Yield a prefix for commands that run inside; all processes inside end with the block.

    `folder` holds libvirt's state.
    """
    # --kill-child is not needed: process 1 ends when its standard input does, and the rest with it.
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
    """Cover the folders that libvirt writes to, reduce /dev, bring up the loopback device."""
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
    """Replace /dev by one that contains only `NODES`."""
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
    """Reap all processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def main() -> int:
    """Act as process 1 until standard input ends; the kernel then kills all others inside."""
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
