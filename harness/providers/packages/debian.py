"""Kernels, and what an initramfs is made of, from Debian's archive: found, verified, unpacked.

The mirror is the one that this machine's apt is set to, or the one that the user names in the
environment; none is written down here.
"""

import fnmatch
import hashlib
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.machine.files import recall, remember
from harness.machine.lock import locked
from harness.machine.places import Places
from harness.model import DebianKernel
from harness.providers.packages import apt
from harness.providers.packages.apt import AptError, Package, Source, Suite

logger = logging.getLogger(__name__)

MIRROR = "REUSEPORT_MATRIX_MIRROR"
"""Environment: the address of a Debian mirror, for a machine whose apt is set to none."""

HINT = (
    f"name a Debian mirror in the environment ({MIRROR}), or a kernel file in a guest file "
    "(`kernel:`)"
)

USERLAND_SUITES = ("trixie", "bookworm")
"""Bookworm's dropbear (2022.83) closes a session that is being opened while another one's command
ends, so that with several at once one fails now and then (dropbear issue 173)."""

USERLAND = ("busybox-static", "dropbear-bin")

TOOL_SUITES = ("bookworm",)
"""Tools run here, so with a C library that is no newer than that of any machine of ours."""

KERNEL_PARTS = ("linux-image-", "linux-binary-", "linux-modules-")
"""Since 7.2 `linux-image-V` is a metapackage of `linux-binary-V` and `linux-modules-V`."""

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
"""What is kept of a package: a kernel's other modules are nine tenths of it."""

UNWANTED = ("*/gconv/*", "*/audit/*", "*/drivers/gpu/*")


class Unpacked(Struct, frozen=True):
    """A verified package and the folder that holds what is wanted of it."""

    package: str
    version: str
    sha256: str
    suite: str
    folder: str

    @property
    def root(self) -> Path:
        """The folder, in which paths are as in the package."""
        return Path(self.folder)


class _Resolved(Struct, frozen=True):
    """What a request came to, and when (seconds since the epoch)."""

    at: float
    packages: tuple[Unpacked, ...]


def refusal() -> str | None:
    """Why no package can be had on this machine; None if it has the tools."""
    if platform.machine() not in ("x86_64", "amd64", "AMD64"):
        return f"kernels are fetched for amd64 only, this machine is {platform.machine()}"
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    return f"no {' and no '.join(missing)} here to fetch a kernel with" if missing else None


class Debian:
    """Debian's archive, with a cache of what was taken from it: of each package what is `wanted`.

    An unpacked package's folder has that in its name: it holds what was wanted when it was made.
    """

    def __init__(self, places: Places, wanted: Sequence[str] = WANTED) -> None:
        self._places = places
        self._wanted = tuple(wanted)
        self._kept = hashlib.sha256(repr((self._wanted, UNWANTED)).encode()).hexdigest()[:8]

    def kernel(self, wanted: DebianKernel, deadline: Deadline) -> tuple[Unpacked, ...]:
        """Return the packages of a kernel, from the first of its suites that offers it."""
        return self._resolve(wanted.suites, _Kernel(wanted.package), deadline)

    def userland(self, deadline: Deadline) -> tuple[Unpacked, ...]:
        """Return busybox, dropbear and all that they depend on."""
        return self._resolve(USERLAND_SUITES, _Closure(USERLAND), deadline)

    def tools(self, packages: Sequence[str], deadline: Deadline) -> tuple[Unpacked, ...]:
        """Return packages with tools to be run on this machine, and their dependencies."""
        return self._resolve(TOOL_SUITES, _Closure(tuple(packages)), deadline)

    def _resolve(
        self, suites: Sequence[str], fetch: "_Fetch", deadline: Deadline
    ) -> tuple[Unpacked, ...]:
        """Answer from memory for a day; then ask the archive, and fetch what is new."""
        question = f"{fetch.what} of {' '.join(suites)}: {self._kept}"
        name = hashlib.sha256(question.encode()).hexdigest()[:16]
        memory = self._places.folder("resolved") / f"{name}.json"
        if (known := _recall(memory)) and time.time() - known.at < apt.INDEX_SECONDS:
            return known.packages
        reason = refusal()
        if reason is not None:
            raise NotRunError(reason, hint=HINT)
        with self._locked(name, deadline):
            if (other := _recall(memory)) and time.time() - other.at < apt.INDEX_SECONDS:
                return other.packages
            try:
                packages = self._ask(suites, fetch, deadline)
            except NotRunError as exc:
                if known is None:
                    raise
                logger.warning("%s; the one of %s is taken", exc, time.ctime(known.at))
                return known.packages
            remember(memory, _Resolved(time.time(), packages))
        return packages

    def _ask(
        self, suites: Sequence[str], fetch: "_Fetch", deadline: Deadline
    ) -> tuple[Unpacked, ...]:
        problems = []
        try:
            sources = self._sources(deadline)
        except AptError as exc:
            raise NotRunError(f"no archive is known to apt: {exc}", hint=HINT) from exc
        for name in suites:
            for source in sources:
                try:
                    packages = self._fetch(name, source, fetch, deadline)
                except AptError as exc:
                    problems.append(f"{name}: {exc}")
                else:
                    if packages:
                        return packages
                    problems.append(f"{name}: not offered")
        raise NotRunError(f"no {fetch.what} to be had: {'; '.join(problems)}", hint=HINT)

    def _sources(self, deadline: Deadline) -> tuple[Source, ...]:
        mirror = os.environ.get(MIRROR)
        if mirror:
            return (Source(mirror, apt.debian_keyring()),)
        return apt.sources_of_machine(self._places.folder("apt", "machine"), deadline)

    def _fetch(
        self, name: str, source: Source, fetch: "_Fetch", deadline: Deadline
    ) -> tuple[Unpacked, ...]:
        key = hashlib.sha256(msgspec.json.encode(source)).hexdigest()[:8]
        suite = Suite(name, source, self._places.folder("apt", f"{name}-{key}"))
        with self._locked(f"{name}-{key}", deadline):
            suite.refresh(deadline)
            scratch = Path(tempfile.mkdtemp(dir=self._places.folder("scratch")))
            try:
                fetch(suite, scratch, deadline)
                debs = sorted(scratch.glob("*.deb"))
                return tuple(self._unpack(deb, name, deadline) for deb in debs)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _unpack(self, deb: Path, suite: str, deadline: Deadline) -> Unpacked:
        """Unpack what is wanted into a folder that appears whole or not at all."""
        with deb.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        package, version = apt.tool(
            ["dpkg-deb", "--showformat=${Package} ${Version}", "--show", str(deb)], deadline
        ).split()
        name = f"{package}_{version}_{sha256[:16]}_{self._kept}"
        folder = self._places.folder("packages") / name
        if not folder.is_dir():
            whole = deb.with_suffix(".whole")
            kept = deb.with_suffix(".kept")
            kept.mkdir()
            apt.tool(["dpkg-deb", "-x", str(deb), str(whole)], deadline)
            _keep_wanted(whole, kept, self._wanted)
            _appear(kept, folder)
        return Unpacked(package, version, sha256, suite, str(folder))

    @contextmanager
    def _locked(self, name: str, deadline: Deadline) -> Iterator[None]:
        path = self._places.folder("locks") / f"{name}.lock"
        with locked(path, deadline) as ours:
            if not ours:
                raise ImageError(f"another run holds {path} for too long")
            yield


class _Fetch(Protocol):
    """Brings packages of a suite into a folder; none if the suite does not offer them."""

    @property
    def what(self) -> str:
        """What is fetched, for a message."""

    def __call__(self, suite: Suite, into: Path, deadline: Deadline) -> None:
        """Fetch."""


class _Kernel(Struct, frozen=True):
    """A kernel's metapackage, followed to the packages that hold image and modules."""

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
    """Packages with all their dependencies."""

    names: tuple[str, ...]

    @property
    def what(self) -> str:
        return " and ".join(self.names)

    def __call__(self, suite: Suite, into: Path, deadline: Deadline) -> None:
        suite.download_closure(self.names, into, deadline)


def _keep_wanted(whole: Path, kept: Path, wanted: Sequence[str]) -> None:
    """Move the wanted files of an unpacked package to a folder of the same shape."""
    for path in sorted(whole.rglob("*")):
        relative = path.relative_to(whole)
        if (path.is_file() or path.is_symlink()) and is_wanted(f"/{relative}", wanted):
            target = kept / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)


def is_wanted(path: str, wanted: Sequence[str] = WANTED) -> bool:
    """Whether a package's file is to be kept; `path` starts with a slash."""
    if any(fnmatch.fnmatch(path, pattern) for pattern in UNWANTED):
        return False
    return any(fnmatch.fnmatch(path, f"/{pattern}") for pattern in wanted)


def _appear(made: Path, final: Path) -> None:
    """Rename a folder into place; another run that was faster has made the same."""
    try:
        made.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def _recall(memory: Path) -> _Resolved | None:
    """Read what a request came to, unless what it named was deleted since."""
    resolved = recall(memory, _Resolved)
    if resolved is None or not all(package.root.is_dir() for package in resolved.packages):
        return None
    return resolved
