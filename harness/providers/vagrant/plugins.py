"""Finds which of Vagrant's own providers work on this machine, and what the others lack."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from harness import clocks
from harness.deadline import Deadline
from harness.machine.architecture import machine
from harness.machine.files import identity, recall, remember
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute
from harness.model import Guest
from harness.providers.vagrant import boxes, libvirt

PROGRAM = "vagrant"

PLUGINS: Mapping[str, str] = {
    "libvirt": "vagrant-libvirt",
    "vmware_desktop": "vagrant-vmware-desktop",
    "parallels": "vagrant-parallels",
    "qemu": "vagrant-qemu",
    "tart": "vagrant-tart",
}
"""Vagrant provider to its plug-in; virtualbox is part of Vagrant."""

PROGRAMS: Mapping[str, str] = {
    "virtualbox": "VBoxManage",
    "vmware_desktop": "vmrun",
    "parallels": "prlctl",
    "qemu": "qemu-img",
    "tart": "tart",
}
"""Vagrant provider to a program of its hypervisor; for libvirt see the module `libvirt`."""

SYSTEM_PLUGINS = (Path("/usr/share/vagrant-plugins/plugins.d"), Path("/usr/share/vagrant-plugins"))
"""Where Debian's packages put plug-ins (Debian's patch of lib/vagrant/plugin/state_file.rb)."""


class Installed(Struct, frozen=True):
    """Vagrant's version, and plug-in to its version; `why` is set if Vagrant did not answer."""

    version: str
    plugins: Mapping[str, str]
    why: str | None = None


class _Known(Struct, frozen=True):
    """A remembered answer; it is valid as long as `files` do not change."""

    files: tuple[str, ...]
    installed: Installed


def refusal(guest: Guest, provider: str, places: Places) -> str | None:
    """Return why a Vagrant provider cannot start a guest here; None if it can."""
    assert guest.vagrant is not None
    box = guest.vagrant.boxes[provider]
    reason = _lacks(provider, places)
    if reason is not None:
        return reason
    here = machine()
    if guest.architecture != here and provider != "qemu":  # only that one emulates
        return f"the box for {provider} is {guest.architecture}, this machine is {here}"
    if box.made_by is not None and boxes.version_here(box, provider) is None:
        return f"the box {box.box} does not exist yet; make it: `{box.made_by}`"
    return None


def _lacks(provider: str, places: Places) -> str | None:
    plugin = PLUGINS.get(provider)
    if plugin is not None:
        here = installed(places)
        if here.why is not None:
            return here.why
        if plugin not in here.plugins:
            return f"Vagrant lacks the plug-in {plugin}: {_how_to_install(plugin)}"
    if provider == "libvirt":
        return libvirt.refusal()
    program = PROGRAMS[provider]
    return f"{program} not found" if shutil.which(program) is None else None


def _how_to_install(plugin: str) -> str:
    if plugin == PLUGINS["libvirt"]:
        return "`reuseport-matrix doctor --install --with vagrant`"
    return f"`vagrant plugin install {plugin}`"


def installed(places: Places) -> Installed:
    """Return Vagrant's version and plug-ins; ask it again only if its files change."""
    program = shutil.which(PROGRAM)
    assert program is not None
    files = _files(Path(program))
    memory = places.folder("vagrant") / "plugins.json"
    known = recall(memory, _Known)
    if known is not None and known.files == files:
        return known.installed
    found = _ask(program, memory.parent)
    if found.why is None:
        remember(memory, _Known(_files(Path(program)), found))
    return found


def _files(program: Path) -> tuple[str, ...]:
    """Identify the files that decide: Vagrant itself, and the lists of its plug-ins."""
    paths = (program, boxes.home() / "plugins.json", *SYSTEM_PLUGINS)
    return tuple(map(identity, paths))


def _ask(program: str, folder: Path) -> Installed:
    """Ask Vagrant, in our own folder: beside a Vagrantfile it would create `.vagrant`."""
    deadline = Deadline(clocks.VAGRANT_START)
    quiet = {"VAGRANT_CHECKPOINT_DISABLE": "1"}
    try:
        version = execute([program, "--version"], deadline, environment=quiet)
        argv = [program, "plugin", "list", "--machine-readable"]
        done = execute(argv, deadline, folder=folder, environment=quiet)
    except ToolTimeoutError:
        return Installed("", {}, f"Vagrant does not answer within {clocks.VAGRANT_START:g} s")
    if done.status != 0:
        said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
        return Installed("", {}, f"Vagrant does not work here: {said[-300:]}")
    words = version.stdout.decode(errors="replace").split()
    return Installed(words[-1] if words else "unknown", _listed(done.stdout.decode()))


def _listed(said: str) -> Mapping[str, str]:
    """Parse lines such as `1795408177,vagrant-libvirt,plugin-version,0.11.2%!(VAGRANT_COMMA) …`."""
    lines = [line.split(",", 3) for line in said.splitlines()]
    return {
        line[1]: line[3].split("%!(VAGRANT_COMMA)")[0]
        for line in lines
        if len(line) == 4 and line[2] == "plugin-version"
    }
