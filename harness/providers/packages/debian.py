"""Fetches kernels, and the programs of an initramfs, from Debian's archive, verified by apt."""

import fnmatch
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from harness.deadline import Deadline
from harness.machine import seals
from harness.machine.files import replace_folder
from harness.machine.places import Places
from harness.model import DebianKernel
from harness.providers.packages import apt
from harness.providers.packages.apt import Package, Suite
from harness.providers.packages.mirror import Archive

USERLAND_SUITES = ("trixie", "bookworm")
"""In order of preference. Bookworm's dropbear (2022.83) may close a session that opens while the
command of another one ends, so with several at once one sometimes fails (dropbear issue 173)."""

USERLAND = ("busybox-static", "dropbear-bin")

TOOL_SUITES = ("bookworm",)
"""Tools run on this machine, so they need a C library that is older than the machine's."""

KERNEL_PARTS = ("linux-image-", "linux-binary-", "linux-modules-")
"""Since 7.2 `linux-image-V` only depends on `linux-binary-V` and `linux-modules-V`."""

WANTED = (
    "boot/vmlinuz-*",
    "*lib/modules/*/vmlinuz",
    "*/virtio*.ko*",
    "*/failover.ko*",
    "*/net_failover.ko*",
    "*/tun.ko*",
    *(f"*/{name}.ko*" for name in ("isofs", "cdrom", "s[rd]_mod", "scsi_common", "scsi_mod")),
    *(f"*/{name}.ko*" for name in ("libata", "ata_piix", "ahci", "libahci", "button", "evdev")),
    "bin/busybox",
    "usr/bin/busybox",
    "usr/sbin/dropbear",
    *("usr/bin/dropbearconvert", "usr/bin/mtools", "usr/bin/mattrib", "usr/bin/mcopy"),
    *("usr/bin/mformat", "usr/bin/mmove", "usr/bin/syslinux", "*/syslinux/mbr/mbr.bin"),
    "*lib64/ld-linux-x86-64.so.*",
    "*lib/x86_64-linux-gnu/*.so*",
)
"""Files of packages to keep: the other modules are nine tenths of a kernel's package."""

UNWANTED = ("*/gconv/*", "*/audit/*", "*/drivers/gpu/*")


class Unpacked(Struct, frozen=True):
    """A verified package, and the folder with the files that were kept of it."""

    package: str
    version: str
    sha256: str
    suite: str
    folder: str

    @property
    def root(self) -> Path:
        """The folder; paths in it are as in the package."""
        return Path(self.folder)


class _Resolved(Struct, frozen=True):
    """The packages that answered a request, and when (seconds since the epoch)."""

    at: float
    packages: tuple[Unpacked, ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        """The packages' folders."""
        return tuple(package.root for package in self.packages)


class Debian:
    """Debian's archive, with a cache of unpacked packages that keeps only the `wanted` files.

    A hash of `wanted` is in the name of each package's folder: other patterns, another folder.
    """

    def __init__(self, places: Places, wanted: Sequence[str] = WANTED) -> None:
        self._places = places
        self._archive = Archive(places)
        self._wanted = tuple(wanted)
        self._kept = hashlib.sha256(repr((self._wanted, UNWANTED)).encode()).hexdigest()[:8]

    def kernel(self, wanted: DebianKernel, deadline: Deadline) -> tuple[Unpacked, ...]:
        """Return the packages of a kernel, from the first of its suites that has it."""
        return self._resolve(wanted.suites, _Kernel(wanted.package), deadline)

    def package(self, wanted: DebianKernel, deadline: Deadline) -> Unpacked:
        """Return one package without its dependencies; of its suites the first that has it."""
        return self._resolve(wanted.suites, _Kernel(wanted.package), deadline)[0]

    def userland(self, deadline: Deadline) -> tuple[Unpacked, ...]:
        """Return busybox, dropbear and all their dependencies."""
        return self._resolve(USERLAND_SUITES, _Closure(USERLAND), deadline)

    def tools(self, packages: Sequence[str], deadline: Deadline) -> tuple[Unpacked, ...]:
        """Return packages whose tools run on this machine, and their dependencies."""
        return self._resolve(TOOL_SUITES, _Closure(tuple(packages)), deadline)

    def _resolve(
        self, suites: Sequence[str], fetch: "_Fetch", deadline: Deadline
    ) -> tuple[Unpacked, ...]:
        def fetched(suite: Suite, scratch: Path, limit: Deadline) -> _Resolved | None:
            fetch(suite, scratch, limit)
            debs = sorted(scratch.glob("*.deb"))
            packages = tuple(self._unpack(deb, suite.name, limit) for deb in debs)
            return _Resolved(time.time(), packages) if packages else None

        def ask() -> _Resolved:
            return self._archive.first(suites, fetch.what, fetched, deadline)

        question = f"{fetch.what} of {' '.join(suites)}: {self._kept}"
        return self._archive.resolve(question, _Resolved, ask, deadline).packages

    def _unpack(self, deb: Path, suite: str, deadline: Deadline) -> Unpacked:
        """Unpack the wanted files into a folder that appears complete or not at all."""
        sha256 = seals.digest(deb)
        package, version = apt.tool(
            ["dpkg-deb", "--showformat=${Package} ${Version}", "--show", str(deb)], deadline
        ).split()
        name = f"{package}_{version}_{sha256[:16]}_{self._kept}"
        folder = self._places.folder("packages") / name
        if seals.unbroken(folder, self._places) is None:
            whole = deb.with_suffix(".whole")
            kept = deb.with_suffix(".kept")
            kept.mkdir()
            apt.tool(["dpkg-deb", "-x", str(deb), str(whole)], deadline)
            _keep_wanted(whole, kept, self._wanted)
            replace_folder(kept, folder)
            seals.seal(folder, self._places)
        return Unpacked(package, version, sha256, suite, str(folder))


class _Fetch(Protocol):
    """Fetches packages of a suite into a folder; fetches nothing if the suite lacks them."""

    @property
    def what(self) -> str:
        """The packages' names, as messages write them."""

    def __call__(self, suite: Suite, into: Path, deadline: Deadline) -> None:
        """Fetch the packages into the folder `into`; raise `AptError`."""


class _Kernel(Struct, frozen=True):
    """A kernel's metapackage; fetches the packages with its image and modules."""

    what: str

    def __call__(self, suite: Suite, into: Path, deadline: Deadline) -> None:
        packages = dict[str, Package]()
        names = {self.what}
        while names:
            found = suite.show(sorted(names), deadline)
            packages |= {package.name: package for package in found}
            depends = {name for package in found for name in package.depends}
            names = {name for name in depends if name.startswith(KERNEL_PARTS)} - set(packages)
        if self.what in packages:
            suite.download(tuple(packages.values()), into, deadline)


class _Closure(Struct, frozen=True):
    """Packages and all their dependencies."""

    names: tuple[str, ...]

    @property
    def what(self) -> str:
        return " and ".join(self.names)

    def __call__(self, suite: Suite, into: Path, deadline: Deadline) -> None:
        suite.download_closure(self.names, into, deadline)


def _keep_wanted(whole: Path, kept: Path, wanted: Sequence[str]) -> None:
    """Move the wanted files of an unpacked package to the same paths below `kept`."""
    for path in sorted(whole.rglob("*")):
        relative = path.relative_to(whole)
        if (path.is_file() or path.is_symlink()) and is_wanted(f"/{relative}", wanted):
            target = kept / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)


def is_wanted(path: str, wanted: Sequence[str] = WANTED) -> bool:
    """Return whether to keep a package's file; `path` starts with a slash."""
    if any(fnmatch.fnmatch(path, pattern) for pattern in UNWANTED):
        return False
    return any(fnmatch.fnmatch(path, f"/{pattern}") for pattern in wanted)
