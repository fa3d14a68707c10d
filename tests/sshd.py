"""A real OpenSSH server on loopback, with its own users, sudo, doas and su.

It runs in a private mount namespace with its own copy of /etc and its own /tmp, /home and /run, so
it does not touch the machine's users or files. It needs root, and sshd or its package: without them
a test skips with the reason.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.guest import Remote
from harness.providers.openssh import Openssh
from harness.providers.ssh import ExistingMachine
from harness.providers.workshop import Workshop

USER, UID = "tester", 4711

PACKAGES = (
    *("openssh-server", "libwrap0", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3"),
    *("libkrb5support0", "libkeyutils1", "libnsl2", "libtirpc3", "libsystemd0", "libssl3"),
)
"""sshd, and the libraries it needs that a small Debian may lack."""

SCRIPT = """\
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 none "$1/machine"
cp -a /etc "$1/machine/etc"
mount --bind "$1/machine/etc" /etc
mount -t tmpfs -o mode=755 none /run
cp -r "$1/machine.files" /run/sshd
[ -z "$3" ] || cp -a "$3" /run/openssh
for folder in /home /root /var/tmp /tmp; do mount -t tmpfs -o mode=755 none $folder; done
chmod 1777 /tmp /var/tmp
. /run/sshd/setup
ulimit -n 4096
exec "$2" -D -e -f /run/sshd/config
"""
# The test's folder is below /tmp, so copy everything before the new /tmp covers it.

CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey /run/sshd/host_key
AuthorizedKeysFile /run/sshd/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""


def write_key(path: Path) -> paramiko.PKey:
    """Write a new private key that only its owner may read."""
    private = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return paramiko.Ed25519Key.from_private_key_file(str(path))


class Sshd:
    """A running server; `key` is the file of a key that may log in as any user."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.key = folder / "user_key"
        self.host_key = paramiko.Ed25519Key.from_private_key_file(str(folder / "host_key"))
        self._namespace = os.readlink(f"/proc/{process.pid}/ns/mnt")

    def path(self, inside: str) -> Path:
        """Return this machine's path of a path inside the server's namespace."""
        return Path(f"/proc/{self.process.pid}/root{inside}")

    def left(self) -> list[str]:
        """Return what logins left behind: files, and processes except zombies."""
        folders = ("/tmp", "/var/tmp", "/root", f"/home/{USER}")
        found = [str(one) for folder in folders for one in self.path(folder).rglob("*")]
        for one in self.processes():
            with suppress(psutil.Error, OSError):  # the process may end meanwhile
                found.append(" ".join(one.cmdline()))
        return found

    def processes(self) -> list[psutil.Process]:
        """Return every process in the namespace except the server itself."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                inside = os.readlink(f"/proc/{process.pid}/ns/mnt") == self._namespace
                alive = process.status() != psutil.STATUS_ZOMBIE
                found += [process] if inside and alive and process.pid != self.process.pid else []
        return found

    def until_left_alone(self, seconds: float = 10) -> list[str]:
        """Wait until nothing is left; return what remains."""
        until = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < until:
            time.sleep(0.05)
        return left


@contextmanager
def serving(
    folder: Path, files: Mapping[str, str] | None = None, shell: str = "/bin/sh", setup: str = ""
) -> Iterator[Sshd]:
    """Yield a server; `files` go below its /etc, `setup` runs in its namespace before it starts."""
    program, environment, unpacked = need_sshd(folder)
    port = free_port()
    lay_out(folder, CONFIG.format(port=port), files or {}, shell, setup)
    argv = ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", str(folder), program, unpacked]
    log = folder / "sshd.log"
    with (
        log.open("wb") as said,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment
        ) as process,
    ):
        try:
            until_listening(process, port, log)
            sshd = Sshd(process, port, folder)
            yield sshd
            end(sshd)
        finally:
            process.kill()


def lay_out(folder: Path, config: str, files: Mapping[str, str], shell: str, setup: str) -> None:
    """Write the files of the server's /run/sshd, including its setup script."""
    inside = folder / "machine.files"
    inside.mkdir()
    (folder / "machine").mkdir()
    write_key(folder / "host_key")
    key = write_key(folder / "user_key")
    shutil.copy(folder / "host_key", inside)
    (inside / "authorized_keys").write_text(f"{key.get_name()} {key.get_base64()}\n")
    (inside / "config").write_text(config)
    lines = [
        "grep -q ^sshd: /etc/passwd || echo sshd:x:995:65534::/run/sshd:/bin/false >> /etc/passwd"
    ]
    lines += [f"echo '{USER}:x:{UID}:{UID}::/home/{USER}:{shell}' >> /etc/passwd"]
    lines += [f"echo '{USER}:*:19000::::::' >> /etc/shadow; mkdir -m 700 /home/{USER}"]
    lines += [f"chown {UID}:{UID} /home/{USER}; chmod 644 /run/sshd/authorized_keys"]
    for name, text in files.items():
        (inside / name).write_text(text)
        lines += [f"cp /run/sshd/{name} /etc/{name}; chmod 440 /etc/{name}"]
    (inside / "setup").write_text("\n".join([*lines, setup, ""]))


def end(sshd: Sshd) -> None:
    for process in sshd.processes():
        with suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)


def until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 30
    while f"Server listening on 127.0.0.1 port {port}" not in log.read_text(errors="replace"):
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip()
            if "unshare" in said or "mount:" in said:
                pytest.skip(f"no private mount namespace can be had here: {said}")
            pytest.fail(f"sshd ended: {said}")
        assert time.monotonic() < until, log.read_text(errors="replace")
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that was free a moment ago: sshd needs a port number in its configuration."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def need_sshd(folder: Path) -> tuple[str, dict[str, str], str]:
    """Return the server, its environment, and the folder of its package if it was unpacked."""
    if os.geteuid() != 0:
        pytest.skip("only root can give an sshd a mount namespace and users of its own")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    environment.pop("SSH_AUTH_SOCK", None)
    program = shutil.which("sshd", path=environment["PATH"])
    if program is not None:
        return program, environment, ""
    unpacked = Places.of_user().folder("tests", "openssh-server")
    if not (unpacked / "usr/sbin/sshd").exists():
        unpack(folder, unpacked)
    found = (path for part in ("lib", "usr/lib") for path in unpacked.glob(f"{part}/*-linux-gnu"))
    libraries = [str(Path("/run/openssh", path.relative_to(unpacked))) for path in found]
    environment["LD_LIBRARY_PATH"] = ":".join(libraries)
    return "/run/openssh/usr/sbin/sshd", environment, str(unpacked)


def unpack(folder: Path, into: Path) -> None:
    """Fetch sshd's package through the machine's apt, and unpack it without installing it."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("no sshd here, and no apt-get to fetch one with (openssh-server)")
    packages = folder / "packages"
    packages.mkdir()
    for name in PACKAGES:
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name]
        subprocess.run(command, cwd=packages, capture_output=True, check=False, timeout=120)
    if not list(packages.glob("openssh-server_*.deb")):
        pytest.skip("no sshd here, and apt does not give one (openssh-server)")
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(into)], check=True, timeout=60)


def machine(server: Sshd, user: str = USER) -> Guest:
    """Return the server as a guest."""
    key = f"{server.host_key.get_name()} {server.host_key.get_base64()}"
    remote = Remote(port=server.port, user=user, key=str(server.key), host_key=key)
    return Guest("lab", "Linux", AgentSource(target="host"), ssh=remote)


def existing(folder: Path) -> ExistingMachine:
    """Return the provider, with `folder` for a ~/.ssh."""
    places = Places(folder / "cache", folder / "state")
    return ExistingMachine(Workshop(places, lambda name: folder / name), Openssh(folder))
