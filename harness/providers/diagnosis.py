"""Finds the tools that this machine has for guests, and the commands that install the others."""

import logging
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.deadline import Deadline
from harness.machine.architecture import machine
from harness.machine.places import Places
from harness.machine.process import SBIN, ToolTimeoutError, execute, installed
from harness.providers import TOOLS, accelerators
from harness.providers.accelerators import AcceleratorTrial
from harness.providers.qemu.command import PROGRAM

logger = logging.getLogger(__name__)

VERSION_SECONDS = 20.0
"""Limit for a tool to print its version; only the user of `doctor` waits for it, no guest."""

VERSION_OPTIONS: Mapping[str, str] = {"mke2fs": "-V"}
"""Command to its option that prints the version, where that is not `--version`."""

INSTALL_SECONDS = 900.0
"""Limit for one package manager command, which may download 300 MB; no guest waits for it."""

APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300")

INSTALLERS: Mapping[str, Sequence[str]] = {
    "apt-get": (*APT, "install", "--no-install-recommends"),
    "dnf": ("dnf", "-y", "install", "--setopt=install_weak_deps=False"),
    "pacman": ("pacman", "-S", "--needed", "--noconfirm"),
    "brew": ("brew", "install"),
    "pkg": ("pkg", "install", "-y"),
}
"""Package manager to its install command, in the order in which they are tried."""

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "apt-get": {
        PROGRAM: "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "setpriv": "util-linux",
        "mke2fs": "e2fsprogs",
    },
    "dnf": {
        PROGRAM: "qemu-system-x86-core",
        "qemu-img": "qemu-img",
        "setpriv": "util-linux",
        "mke2fs": "e2fsprogs",
    },
    "pacman": {
        PROGRAM: "qemu-system-x86",
        "qemu-img": "qemu-img",
        "setpriv": "util-linux",
        "mke2fs": "e2fsprogs",
    },
    "brew": {PROGRAM: "qemu", "qemu-img": "qemu"},
    "pkg": {PROGRAM: "qemu", "qemu-img": "qemu"},
}
"""Package manager to (command to package). A command that is missing here is not installed."""

WITHOUT_ROOT = ("brew",)
"""Package managers that refuse to run as root."""


class Tool(Struct, frozen=True):
    """A command; `path` and `version` are None if it is not installed."""

    name: str
    purpose: str
    path: str | None = None
    version: str | None = None


class Extra(Struct, frozen=True):
    """A group of commands, and the packages that install all of them, by package manager."""

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
"""Installed only on request (`--with NAME`). `vagrant`, with libvirt, is 300 MB. `tests` is only
for the live tests: sudo and doas, other shells, a C compiler, a packet dissector and a browser."""

PLUGIN_FILES: Mapping[str, Path] = {
    "apt-get": Path("/usr/share/vagrant-plugins/plugins.d/vagrant-libvirt.json"),
}
"""A file that the package of the plug-in installs; Vagrant may be installed without it."""


class Diagnosis(Struct, frozen=True):
    """The tools of this machine. `manager` is None if no known package manager is installed."""

    system: str
    python: str
    tools: tuple[Tool, ...]
    accelerators: tuple[AcceleratorTrial, ...]
    manager: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """The command that installs the missing packages; empty if there are none to install."""
        if self.manager is None or not self.packages:
            return ()
        return (*INSTALLERS[self.manager], *self.packages)


class Installation(Struct, frozen=True):
    """The result of an installation: the commands that ran; `why` it failed, or None."""

    ran: tuple[tuple[str, ...], ...] = ()
    why: str | None = None


def examine(places: Places, extras: Sequence[str] = ()) -> Diagnosis:
    """Look for every tool and the `extras` (keys of `EXTRAS`), and try every accelerator."""
    tools = tuple(_look_for(name, purpose) for name, purpose in TOOLS.items())
    program = shutil.which(PROGRAM)
    tried = () if program is None else accelerators.trials(Path(program), places)
    manager = next((name for name in INSTALLERS if shutil.which(name)), None)
    system = f"{platform.system()} {platform.release()} {machine()}"
    missing = [tool.name for tool in tools if tool.path is None]
    packages = () if manager is None else packages_for(manager, missing, extras)
    return Diagnosis(system, platform.python_version(), tools, tried, manager, packages)


def _look_for(name: str, purpose: str) -> Tool:
    """Find a command and ask for its version."""
    path = installed(name)
    if path is None:
        return Tool(name, purpose)
    try:
        option = VERSION_OPTIONS.get(name, "--version")
        done = execute([path, option], Deadline(VERSION_SECONDS))
    except ToolTimeoutError:
        return Tool(name, purpose, path, "does not answer")
    lines = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    return Tool(name, purpose, path, lines[0] if lines else None)


def packages_for(
    manager: str, missing: Sequence[str], extras: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the packages of the missing commands and of the extras, without duplicates."""
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
    """Install the missing packages with the system's package manager.

    Log each command before it runs. Without the rights for it, run nothing and return the command
    in `why`.
    """
    if not diagnosis.command:
        return Installation()
    assert diagnosis.manager is not None
    prefix = _rights(diagnosis.manager)
    words = " ".join(diagnosis.command)
    if prefix is None:
        brew = diagnosis.manager in WITHOUT_ROOT
        needs = "an ordinary user" if brew else "root, or sudo without a password"
        return Installation(why=f"this needs {needs}; run it yourself: {words}")
    wanted = (*prefix, *diagnosis.command)
    attempts = [[wanted]]
    if diagnosis.manager == "apt-get":
        # A fresh container has no package lists. Old lists name versions that the archive has
        # deleted, or that conflict with packages installed since. So a failure leads to an update.
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
    """Run the steps in order and add each to `ran`; return why one failed, or None."""
    for step in steps:
        logger.info("running: %s", " ".join(step))
        ran.append(step)
        why = _run(step)
        if why is not None:
            return why
    return None


def _rights(manager: str) -> tuple[str, ...] | None:
    """Return the prefix that gives the installer its rights; None if we cannot get them."""
    if manager in WITHOUT_ROOT:
        return None if os.geteuid() == 0 else ()
    if os.geteuid() == 0:
        return ()
    # sudo resets the environment, so env(1) sets the variable after it.
    prefix = ("sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive")
    return prefix if _succeeds(["sudo", "-n", "true"]) else None


def _lists_know(packages: Sequence[str]) -> bool:
    """Return whether apt's index has all these packages.

    Ask for one at a time: with several names, `apt-cache show` succeeds if it finds any of them.
    """
    return all(_succeeds(["apt-cache", "show", package]) for package in packages)


def _succeeds(argv: Sequence[str]) -> bool:
    try:
        return execute(argv, Deadline(VERSION_SECONDS)).status == 0
    except ToolTimeoutError:
        return False


def _run(argv: Sequence[str]) -> str | None:
    """Run one step; return why it failed, or None."""
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = execute(argv, Deadline(INSTALL_SECONDS), environment=environment)
    except ToolTimeoutError:
        return f"{argv[0]} did not end within {INSTALL_SECONDS:.0f} s"
    if done.status == 0:
        return None
    said = (done.stderr or done.stdout).decode(errors="replace").strip()
    return f"{' '.join(argv)}: status {done.status}: {said[-1000:]}"
