"""Which of Vagrant's own providers work here: what has to be there besides Vagrant, and is."""

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from harness import clocks
from harness.agent.binary import MACHINES
from harness.deadline import Deadline
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
"""Vagrant's provider to the plug-in that it comes with; virtualbox is a part of Vagrant."""

PROGRAMS: Mapping[str, str] = {
    "virtualbox": "VBoxManage",
    "vmware_desktop": "vmrun",
    "parallels": "prlctl",
    "qemu": "qemu-img",
    "tart": "tart",
}
"""Vagrant's provider to a program of the hypervisor's; libvirt has a module of its own."""

SYSTEM_PLUGINS = (Path("/usr/share/vagrant-plugins/plugins.d"), Path("/usr/share/vagrant-plugins"))
"""Where Debian's packages put plug-ins (its patch to lib/vagrant/plugin/state_file.rb)."""


class Installed(Struct, frozen=True):
    """Vagrant's version, and its plug-ins with theirs; `why` says why that is not known."""

    version: str
    plugins: Mapping[str, str]
    why: str | None = None


class _Known(Struct, frozen=True):
    """An answer, and the files that it holds for as long as they stay as they are."""

    files: tuple[str, ...]
    installed: Installed


def refusal(guest: Guest, provider: str, places: Places) -> str | None:
    """Why one of Vagrant's providers cannot start a guest here; None if it can."""
    assert guest.vagrant is not None
    box = guest.vagrant.boxes[provider]
    reason = _lacks(provider, places)
    if reason is not None:
        return reason
    machine = MACHINES.get(platform.machine(), platform.machine())
    if guest.architecture != machine and provider != "qemu":  # only that one emulates
        return f"{provider}'s box is for {guest.architecture}, this machine is {machine}"
    if box.made_by is not None and boxes.version_here(box, provider) is None:
        return f"the box {box.box} is not made yet: `{box.made_by}`"
    return None


def _lacks(provider: str, places: Places) -> str | None:
    plugin = PLUGINS.get(provider)
    if plugin is not None:
        here = installed(places)
        if here.why is not None:
            return here.why
        if plugin not in here.plugins:
            return f"Vagrant has no plug-in {plugin}: {_how_to_install(plugin)}"
    if provider == "libvirt":
        return libvirt.refusal()
    program = PROGRAMS[provider]
    return f"no {program} here" if shutil.which(program) is None else None


def _how_to_install(plugin: str) -> str:
    if plugin == PLUGINS["libvirt"]:
        return "`reuseport-matrix doctor --install --with vagrant`"
    return f"`vagrant plugin install {plugin}`"


def installed(places: Places) -> Installed:
    """Return what Vagrant says is installed: asked once, and again when its files change."""
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
    """Name the files that decide: Vagrant itself, and the lists of its plug-ins."""
    paths = (program, boxes.home() / "plugins.json", *SYSTEM_PLUGINS)
    return tuple(map(identity, paths))


def _ask(program: str, folder: Path) -> Installed:
    """Ask Vagrant, in a folder of ours: where a Vagrantfile is it would make a `.vagrant`."""
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
    """Read lines such as `1795408177,vagrant-libvirt,plugin-version,0.11.2%!(VAGRANT_COMMA) …`."""
    lines = [line.split(",", 3) for line in said.splitlines()]
    return {
        line[1]: line[3].split("%!(VAGRANT_COMMA)")[0]
        for line in lines
        if len(line) == 4 and line[2] == "plugin-version"
    }
