"""Machines on paper: what a guest file says of one, section by section."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

from msgspec import Struct, field
from msgspec.structs import fields

Root = Literal["none", "sudo", "doas", "su"]
"""How the SSH user becomes root; `none` stays who it is."""


GUEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A guest's name is a folder's name in the results."""


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """What a guest file says to one provider, and what such a guest takes of this machine.

    `made`: the provider makes the machine, and a hypervisor runs it. `elsewhere`: it is no part of
    this machine.
    """

    made: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False

    @property
    def cpus(self) -> int:
        """How many of this machine's CPUs it is busy on while it is measured."""
        return 0 if self.elsewhere else 1

    @property
    def memory(self) -> int:
        """MiB of this machine's memory that it takes."""
        return 0

    @property
    def boot_timeout(self) -> float:
        """Seconds that its boot may take on a fast host."""
        return 0.0


class Ssh(Struct, frozen=True, forbid_unknown_fields=True):
    """How to log in to a guest that is made. `key` is a private key file; None: one of ours."""

    user: str = "root"
    key: str | None = None
    host: str = "127.0.0.1"
    port: int = 22


class Remote(Section, frozen=True):
    """A machine that is already there; what is None is as `ssh` would find it in ~/.ssh.

    `host_key` is `TYPE BASE64`, as a line of known_hosts says it after the name.
    """

    elsewhere = True

    host: str = "127.0.0.1"
    user: str | None = None
    key: str | None = None
    port: int | None = None
    host_key: str | None = None


class Checked(Struct, frozen=True, forbid_unknown_fields=True):
    """When (ISO 8601) and how somebody saw that an address leads to what it promises."""

    on: str
    how: str


class DebianKernel(Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel package to be found through apt: the first of `suites` that offers `package`."""

    suites: tuple[str, ...]
    package: str


class Image(Struct, frozen=True, forbid_unknown_fields=True):
    """A vendor's disk image, to be downloaded: `.xz`, `.gz`, `.bz2`, `.zst` are unpacked.

    `sha256` and `sha512` are hexadecimal and of the file as it is downloaded; `checksums` is the
    address of the vendor's own list.
    """

    url: str
    sha256: str | None = None
    sha512: str | None = None
    checksums: str | None = None
    checked: Checked | None = None
    unchecked: bool = False


class Qemu(Section, frozen=True):
    """A guest made by QEMU, from a kernel (with our own initramfs, if none is given) or a disk.

    Paths are absolute after loading. `memory` is MiB, `disk_size` GiB (grown to, if larger than the
    image), `boot_timeout` seconds on a fast host. `seed` is what the image takes a key of ours
    from.
    """

    made = True

    kernel: str | None = None
    kernel_sha256: str | None = None
    initrd: str | None = None
    modules: str | None = None
    append: str = ""
    debian: DebianKernel | None = None
    disk: str | None = None
    disk_sha256: str | None = None
    disk_format: str | None = None
    disk_interface: str = "virtio"
    disk_size: int | None = None
    image: Image | None = None
    seed: Literal["nocloud"] | None = None
    nic: str = "virtio-net-pci"
    machine: str | None = None
    cpu: str | None = None
    memory: int = 256
    cpus: int = 1
    arguments: tuple[str, ...] = ()
    ssh: Ssh = Ssh()
    accelerator: str | None = None
    boot_timeout: float = 60.0


class Box(Struct, frozen=True, forbid_unknown_fields=True):
    """A Vagrant box: a name of the catalogue, or an address of its own, or made here.

    `made_by` is the command that makes it and adds it to Vagrant.
    """

    box: str
    version: str | None = None
    url: str | None = None
    sha256: str | None = None
    made_by: str | None = None
    checked: Checked | None = None
    unchecked: bool = False


class Vagrant(Section, frozen=True):
    """A guest made by Vagrant: a box for each of Vagrant's own providers, best first.

    The names are Vagrant's (`config.vm.guest`, `config.ssh.shell`, `config.ssh.sudo_command`, …),
    `nic`, `disk_bus` and `cpu` libvirt's; None leaves it to Vagrant. `memory` is MiB,
    `boot_timeout` seconds on a fast host. `password` (`config.ssh.password`) is one that the box's
    makers publish, good for the login in which Vagrant puts a key in.
    """

    made = True

    boxes: Mapping[str, Box]
    guest: str | None = None
    shell: str = "sh"
    sudo: str | None = None
    insert_key: bool = True
    ssh: Ssh = field(default_factory=lambda: Ssh(user="vagrant"))
    password: str | None = None
    memory: int = 1024
    cpus: int = 1
    nic: str | None = None
    disk_bus: str | None = None
    cpu: str | None = None
    accelerator: str | None = None
    boot_timeout: float = 300.0


class Host(Section, frozen=True):
    """This machine's own kernel, if it is `system` (uname -s) of a `release` that begins so."""

    isolate: bool = True
    system: str | None = None
    release: str | None = None


class OnlyOn(Struct, frozen=True, forbid_unknown_fields=True):
    """The only machines on which a guest may run at all (uname -s, uname -m), and why."""

    system: str
    why: str
    machine: str | None = None


class AgentSource(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the guest's agent comes from: exactly one of the three.

    `target` is a Zig target (`x86_64-linux-musl`), `build: guest-cc` compiles in the guest, `path`
    is a ready binary.
    """

    target: str | None = None
    build: Literal["guest-cc"] | None = None
    path: str | None = None


class Guest(Struct, frozen=True):
    """A machine on paper: one release of one system, and who could make it live."""

    name: str
    system: str
    agent: AgentSource
    host: Host | None = None
    qemu: Qemu | None = None
    vagrant: Vagrant | None = None
    ssh: Remote | None = None
    architecture: Literal["x86_64", "aarch64"] = "x86_64"
    only_on: OnlyOn | None = None
    root: Root = "none"
    tunables: tuple[str, ...] = ()
    notes: str = ""
    source: str = ""

    @property
    def sections(self) -> Mapping[str, Section]:
        """What its file says to each provider that it speaks of."""
        found = {name: getattr(self, name) for name in SECTIONS}
        return {name: section for name, section in found.items() if section is not None}

    def section(self, provider: str) -> Section:
        """Return what its file says to a provider; one that says nothing if it does not."""
        return self.sections.get(provider, Section())


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        one.name: kind
        for one in fields(Guest)
        for kind in get_args(one.type)
        if isinstance(kind, type) and issubclass(kind, Section)
    }
)
"""Every provider's name, and what a guest file says to it; in order of preference."""
