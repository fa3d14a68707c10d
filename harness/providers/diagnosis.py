"""What this machine has for making guests, what it lacks, and the commands that install that."""

import logging
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.deadline import Deadline
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute
from harness.providers import TOOLS, accelerators
from harness.providers.accelerators import AcceleratorTrial
from harness.providers.qemu.command import PROGRAM

logger = logging.getLogger(__name__)

VERSION_SECONDS = 20.0
"""For a tool to say its version; no guest waits for it, only who called the doctor."""

INSTALL_SECONDS = 900.0
"""For one command of a package manager, whose download may be 300 MB; no guest waits for it."""

APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300")

INSTALLERS: Mapping[str, Sequence[str]] = {
    "apt-get": (*APT, "install", "--no-install-recommends"),
    "dnf": ("dnf", "-y", "install", "--setopt=install_weak_deps=False"),
    "pacman": ("pacman", "-S", "--needed", "--noconfirm"),
    "brew": ("brew", "install"),
    "pkg": ("pkg", "install", "-y"),
}
"""Package manager to the command that installs, in the order in which they are looked for."""

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "apt-get": {PROGRAM: "qemu-system-x86", "qemu-img": "qemu-utils", "setpriv": "util-linux"},
    "dnf": {PROGRAM: "qemu-system-x86-core", "qemu-img": "qemu-img", "setpriv": "util-linux"},
    "pacman": {PROGRAM: "qemu-system-x86", "qemu-img": "qemu-img", "setpriv": "util-linux"},
    "brew": {PROGRAM: "qemu", "qemu-img": "qemu"},
    "pkg": {PROGRAM: "qemu", "qemu-img": "qemu"},
}
"""Package manager to command to the package that holds it. What is not here is not installed."""

WITHOUT_ROOT = ("brew",)
"""Package managers that refuse to be run by root."""


class Tool(Struct, frozen=True):
    """A command: where it is and which version, both None if it is not there."""

    name: str
    purpose: str
    path: str | None = None
    version: str | None = None


class Extra(Struct, frozen=True):
    """Commands that belong together, and each package manager's packages for all of them."""

    commands: tuple[str, ...]
    packages: Mapping[str, tuple[str, ...]]


EXTRAS: Mapping[str, Extra] = {
    "vagrant": Extra(
        ("vagrant", "virsh", "libvirtd", "virtlogd", "dnsmasq", "ip", "iptables"),
        {
            "apt-get": (
                *("vagrant", "vagrant-libvirt", "libvirt-daemon-system", "libvirt-clients"),
                *("dnsmasq-base", "iptables", "iproute2", "openssh-client"),
            ),
            "dnf": (
                *("vagrant", "vagrant-libvirt", "libvirt-daemon-kvm", "libvirt-client"),
                *("libvirt-daemon-config-network", "dnsmasq", "iproute", "openssh-clients"),
            ),
        },
    ),
    "tests": Extra(
        ("sudo", "doas", "csh", "tcsh", "zsh", "cc", "tshark", "chromium", "chromedriver"),
        {
            "apt-get": (
                *("sudo", "opendoas", "csh", "tcsh", "zsh", "gcc", "libc6-dev", "tshark"),
                *("chromium", "chromium-driver"),
            ),
            "dnf": (
                *("sudo", "opendoas", "tcsh", "zsh", "gcc", "glibc-devel", "wireshark-cli"),
                *("chromium", "chromedriver"),
            ),
        },
    ),
}
"""What is installed only if it is asked for by name: Vagrant with libvirt is 300 MB, and what the
live tests meet other ways to root, other shells, a guest's compiler, packets and pages with is for
them alone."""

PLUGIN_FILES: Mapping[str, Path] = {
    "apt-get": Path("/usr/share/vagrant-plugins/plugins.d/vagrant-libvirt.json"),
}
"""Where a package manager's package of the plug-in shows; a Vagrant may be there without it."""

SBIN = ("/usr/sbin", "/sbin")
"""Where daemons are, which a plain user's PATH does not name on Debian."""


class Diagnosis(Struct, frozen=True):
    """What there is. `manager` is None if no known package manager is here."""

    system: str
    python: str
    tools: tuple[Tool, ...]
    accelerators: tuple[AcceleratorTrial, ...]
    manager: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """The command that installs what is missing; empty if nothing is, or nothing known."""
        if self.manager is None or not self.packages:
            return ()
        return (*INSTALLERS[self.manager], *self.packages)


class Installation(Struct, frozen=True):
    """What came of installing: the commands that were run, and why it failed if it did."""

    ran: tuple[tuple[str, ...], ...] = ()
    why: str | None = None


def examine(places: Places, extras: Sequence[str] = ()) -> Diagnosis:
    """Look for every tool and try every accelerator; `extras` (of `EXTRAS`) are wanted, too."""
    tools = tuple(_look_for(name, purpose) for name, purpose in TOOLS.items())
    program = shutil.which(PROGRAM)
    tried = () if program is None else accelerators.trials(Path(program), places)
    manager = next((name for name in INSTALLERS if shutil.which(name)), None)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    missing = [tool.name for tool in tools if tool.path is None]
    packages = () if manager is None else packages_for(manager, missing, extras)
    return Diagnosis(system, platform.python_version(), tools, tried, manager, packages)


def _look_for(name: str, purpose: str) -> Tool:
    """Find a command and ask for its version."""
    path = shutil.which(name)
    if path is None:
        return Tool(name, purpose)
    try:
        done = execute([path, "--version"], Deadline(VERSION_SECONDS))
    except ToolTimeoutError:
        return Tool(name, purpose, path, "does not answer")
    lines = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    return Tool(name, purpose, path, lines[0] if lines else None)


def packages_for(
    manager: str, missing: Sequence[str], extras: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the packages that hold the missing commands, and the extras', each once."""
    known = PACKAGES[manager]
    found = [known[name] for name in missing if name in known]
    path = os.pathsep.join((os.environ.get("PATH", ""), *SBIN))
    for extra in map(EXTRAS.__getitem__, extras):
        plugin = PLUGIN_FILES.get(manager)
        lacking = [one for one in extra.commands if shutil.which(one, path=path) is None]
        if lacking or (plugin is not None and not plugin.exists()):
            found += extra.packages.get(manager, ())
    return tuple(dict.fromkeys(found))


def install(diagnosis: Diagnosis) -> Installation:
    """Install what is missing with the system's package manager, or say what to run.

    Each command is logged before it is run.
    """
    if not diagnosis.command:
        return Installation()
    assert diagnosis.manager is not None
    prefix = _rights(diagnosis.manager)
    words = " ".join(diagnosis.command)
    if prefix is None:
        brew = diagnosis.manager in WITHOUT_ROOT
        needs = "an ordinary user" if brew else "root, or sudo without a password"
        return Installation(why=f"this needs {needs}; to run: {words}")
    wanted = (*prefix, *diagnosis.command)
    attempts = [[wanted]]
    if diagnosis.manager == "apt-get":
        # A fresh container has no lists. Old ones name versions that the archive no longer has, or
        # that no longer go with what was installed since.
        fresh = [(*prefix, *APT, "update"), wanted]
        attempts = [*attempts, fresh] if _lists_know(diagnosis.packages) else [fresh]
    ran = list[tuple[str, ...]]()
    why: str | None = None
    for steps in attempts:
        why = _follow(steps, ran)
        if why is None:
            break
    return Installation(tuple(ran), why)


def _follow(steps: Sequence[tuple[str, ...]], ran: list[tuple[str, ...]]) -> str | None:
    """Run the steps one after the other, adding each to `ran`; return why one failed."""
    for step in steps:
        logger.info("running: %s", " ".join(step))
        ran.append(step)
        why = _run(step)
        if why is not None:
            return why
    return None


def _rights(manager: str) -> tuple[str, ...] | None:
    """Return what to put before the installer's command; None if it may not be run."""
    if manager in WITHOUT_ROOT:
        return None if os.geteuid() == 0 else ()
    if os.geteuid() == 0:
        return ()
    # env(1), for sudo resets the environment.
    prefix = ("sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive")
    return prefix if _succeeds(["sudo", "-n", "true"]) else None


def _lists_know(packages: Sequence[str]) -> bool:
    """Whether apt has an index with these packages.

    Asked one by one: of several, `apt-cache show` succeeds if it knows any.
    """
    return all(_succeeds(["apt-cache", "show", package]) for package in packages)


def _succeeds(argv: Sequence[str]) -> bool:
    try:
        return execute(argv, Deadline(VERSION_SECONDS)).status == 0
    except ToolTimeoutError:
        return False


def _run(argv: Sequence[str]) -> str | None:
    """Run one step; return why it failed."""
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = execute(argv, Deadline(INSTALL_SECONDS), environment=environment)
    except ToolTimeoutError:
        return f"{argv[0]} did not end within {INSTALL_SECONDS:.0f} s"
    if done.status == 0:
        return None
    said = (done.stderr or done.stdout).decode(errors="replace").strip()
    return f"{' '.join(argv)}: status {done.status}: {said[-1000:]}"
