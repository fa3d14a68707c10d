"""Guests as described by a guest file: one section for each provider."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

from msgspec import Struct, field
from msgspec.structs import fields

from harness.model.box import Box, Checked
from harness.model.console_step import ConsoleStep

Root = Literal["none", "sudo", "doas", "su"]
"""How the SSH user becomes root; with `none` it does not."""


GUEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""The results have a folder with the guest's name, so the name must be a valid file name."""

ROW_NAME = re.compile(rf"{GUEST_NAME.pattern}(?:@[A-Za-z0-9._-]{{1,64}})?")
"""The name of a row of the matrix: a guest, or a guest on one machine of a cluster."""


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings for one provider in a guest file, and what such a guest needs of this machine.

    `made`: the provider creates a VM, which is emulated where no hardware virtualises (`virtual`).
    `elsewhere`: the guest is another machine.
    """

    made: ClassVar[bool] = False
    virtual: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False

    @property
    def cpus(self) -> int:
        """How many of this machine's CPUs it uses while it is measured."""
        return 0 if self.elsewhere else 1

    @property
    def memory(self) -> int:
        """MiB of this machine's memory that it takes."""
        return 0

    @property
    def boot_timeout(self) -> float:
        """The seconds that its boot may take on a fast host."""
        return 0.0

    @property
    def boot_seconds(self) -> float:
        """The same with all that must be done until it can be logged in to."""
        return self.boot_timeout


class Ssh(Struct, frozen=True, forbid_unknown_fields=True):
    """How to log in to a VM. `key` is a private key file; None: the harness makes a key."""

    user: str = "root"
    key: str | None = None
    host: str = "127.0.0.1"
    port: int = 22


class Remote(Section, frozen=True):
    """A machine that is already up. What is None is taken from ~/.ssh, as `ssh` does.

    `host_key` is `TYPE BASE64`, as in a line of known_hosts after the host name.
    """

    elsewhere = True

    host: str = "127.0.0.1"
    user: str | None = None
    key: str | None = None
    port: int | None = None
    host_key: str | None = None


class DebianKernel(Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel package that apt finds: `package` from the first of `suites` that has it."""

    suites: tuple[str, ...]
    package: str


class Image(Struct, frozen=True, forbid_unknown_fields=True):
    """A vendor's disk image to download; `.xz`, `.gz`, `.bz2` and `.zst` are unpacked.

    `sha256` and `sha512` are hexadecimal digests of the file before it is unpacked. `checksums` is
    the address of the vendor's list of digests. `key` is the address of the private key that the
    publisher put beside the image; it is used for the first login and then replaced.
    """

    url: str
    key: str | None = None
    sha256: str | None = None
    sha512: str | None = None
    checksums: str | None = None
    checked: Checked | None = None
    unchecked: bool = False


class Qemu(Section, frozen=True):
    """A guest that QEMU starts from a kernel or a disk; without `initrd` the harness makes one.

    Paths are absolute after loading. `memory` is in MiB; `disk_size` is in GiB (the disk grows to
    it if the image is smaller); `boot_timeout` is seconds on a fast host. `seed` and `console` are
    how the image gets the harness's public key.
    """

    made = True
    virtual = True

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
    console: tuple[ConsoleStep, ...] = ()
    nic: str = "virtio-net-pci"
    machine: str | None = None
    cpu: str | None = None
    memory: int = 256
    cpus: int = 1
    arguments: tuple[str, ...] = ()
    ssh: Ssh = Ssh()
    accelerator: str | None = None
    boot_timeout: float = 60.0

    @property
    def boot_seconds(self) -> float:
        """A boot; for a console, one that is typed, one from the kept disk, and one typed again."""
        if not self.console:
            return self.boot_timeout
        return 3 * self.boot_timeout + 2 * self.typing_seconds

    @property
    def typing_seconds(self) -> float:
        """All steps that are typed on the console, on a fast host."""
        return sum(step.timeout for step in self.console)

    def types(self, placeholder: str) -> bool:
        """Return whether a console step types what `{placeholder}` stands for."""
        return any(f"{{{placeholder}}}" in (step.send or "") for step in self.console)


class Gvisor(Section, frozen=True):
    """A gVisor sandbox, which `runsc` makes: that of a Debian package, a file, or the one in PATH.

    `path` is absolute after loading. With `installed`, the `runsc` in PATH is taken if it is newer
    than the package's, or if there is no package. `platform` is one of runsc's; None: the first
    that works. `boot_timeout` is seconds on a fast host.
    """

    made = True

    debian: DebianKernel | None = None
    path: str | None = None
    installed: bool = False
    platform: str | None = None
    boot_timeout: float = 30.0

    @property
    def memory(self) -> int:
        """MiB that the sandbox and its processes took at most (measured: 165)."""
        return 256


class Vagrant(Section, frozen=True):
    """A guest that Vagrant starts: one box for each of Vagrant's own providers, best first.

    Most keys have Vagrant's names (`config.vm.guest`, `config.ssh.shell`,
    `config.ssh.sudo_command`, …); `nic`, `disk_bus` and `cpu` are libvirt's. None means Vagrant's
    default. `memory` is in MiB, `boot_timeout` in seconds on a fast host. `password`
    (`config.ssh.password`) is the published password of the box; Vagrant uses it once, for the
    login that installs a key.
    """

    made = True
    virtual = True

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
    """This machine's own kernel, if `uname -s` is `system` and `uname -r` starts with `release`."""

    isolate: bool = True
    system: str | None = None
    release: str | None = None


class OnlyOn(Struct, frozen=True, forbid_unknown_fields=True):
    """The only machines on which a guest may run (uname -s, uname -m), and the reason."""

    system: str
    why: str
    machine: str | None = None


class AgentSource(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the guest's agent comes from: exactly one of the three keys is set.

    `target` is a Zig target (`x86_64-linux-musl`) to compile for, `build: guest-cc` compiles in the
    guest, `path` is a ready binary. With `build`, `compiled_in` names another guest: what that one
    compiled may run in this one, too, which then needs no compiler.
    """

    target: str | None = None
    build: Literal["guest-cc"] | None = None
    path: str | None = None
    compiled_in: str | None = None


class Guest(Struct, frozen=True):
    """A guest file's content: one release of one system, and the providers that can start it.

    `copy` is the number of a copy, if a run starts several.
    """

    name: str
    system: str
    agent: AgentSource
    host: Host | None = None
    gvisor: Gvisor | None = None
    qemu: Qemu | None = None
    vagrant: Vagrant | None = None
    ssh: Remote | None = None
    architecture: Literal["x86_64", "aarch64"] = "x86_64"
    only_on: OnlyOn | None = None
    root: Root = "none"
    tunables: tuple[str, ...] = ()
    notes: str = ""
    source: str = ""
    copy: int = 1

    @property
    def label(self) -> str:
        """Its name, with the number of the copy after the first one."""
        return self.name if self.copy == 1 else f"{self.name}+{self.copy}"

    @property
    def sections(self) -> Mapping[str, Section]:
        """The sections of its file, by provider."""
        found = {name: getattr(self, name) for name in SECTIONS}
        return {name: section for name, section in found.items() if section is not None}

    def section(self, provider: str) -> Section:
        """Return the section for a provider; an empty `Section` if the file has none."""
        return self.sections.get(provider, Section())


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        one.name: kind
        for one in fields(Guest)
        for kind in get_args(one.type)
        if isinstance(kind, type) and issubclass(kind, Section)
    }
)
"""The name of each provider and the type of its section, in order of preference."""
