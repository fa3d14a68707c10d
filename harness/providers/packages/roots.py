"""Makes roots: folders with all packages of a run's servers, which chroot(2) can enter.

A root is made once from packages that apt has verified, and kept in the cache. Nothing is installed
on this machine, and no maintainer script runs.
"""

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.deadline import Deadline
from harness.machine import seals
from harness.machine.files import replace_folder
from harness.machine.places import Places
from harness.protocols import ServerRoot
from harness.providers.packages import apt, root_tree
from harness.providers.packages.apt import Suite
from harness.providers.packages.mirror import Archive

logger = logging.getLogger(__name__)

SHELF = "servers"
"""The folder of the cache that holds the roots."""

SUITES = ("bookworm", "trixie")
"""For guests whose kernel comes from elsewhere, in order of preference. A root has its own C
library, so any will do on a kernel that is not years older."""

BACKPORTS = "-backports"
"""Ends the name of a suite that has newer packages for another one, but not their dependencies."""

BASE = (
    *("base-files", "base-passwd", "coreutils", "dash", "grep", "hostname", "libc-bin"),
    *("netbase", "sed"),
)
"""What packages take for granted, as far as servers' scripts use it."""


class Root(Struct, frozen=True):
    """A system that chroot(2) can enter, made `at` (seconds since the epoch) of a suite's packages.

    `packages` are `NAME VERSION SHA256`, with all dependencies. `missing` has what was asked for
    and is not in it, with the reason.
    """

    at: float
    folder: str
    suite: str
    packages: tuple[str, ...]
    missing: Mapping[str, str] = {}

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the cache that hold it."""
        return (self.path,)

    @property
    def sha256(self) -> str:
        """The sha256 of the list of its packages."""
        return hashlib.sha256("\n".join(self.packages).encode()).hexdigest()

    def seen_at(self, path: str) -> ServerRoot:
        """Return what a guest says of it that has it at this path."""
        return ServerRoot(path, self.suite, self.sha256, self.missing)


def suites_of(kernel: str | None) -> tuple[str, ...]:
    """Return where to look for the servers of a guest whose kernel is from this suite."""
    return SUITES if kernel is None else (kernel.removesuffix(BACKPORTS),)


def prepare(
    names: Sequence[str], suites: Sequence[str], places: Places, deadline: Deadline
) -> Root:
    """Return a root with these packages, from the first of the suites that can be reached.

    Packages that the suite lacks are left out. Raise `NotRunError` if no suite can be reached.
    """
    wanted = tuple(sorted(set(names)))
    archive = Archive(places)
    what = f"the servers' packages ({', '.join(wanted)})"

    def fetched(suite: Suite, scratch: Path, limit: Deadline) -> Root | None:
        return _made(wanted, suite, scratch, places, limit)

    def ask() -> Root:
        return archive.first(suites, what, fetched, deadline)

    shape = hashlib.sha256(root_tree.SHAPE.encode()).hexdigest()[:8]
    question = f"{what} of {' '.join(suites)}: {' '.join(BASE)}, {shape}"
    root = archive.resolve(question, Root, ask, deadline)
    # In use, even if a guest reads only its image: `gc --cache` deletes what has not been for long.
    os.utime(root.path)
    return root


def _made(
    wanted: Sequence[str], suite: Suite, scratch: Path, places: Places, deadline: Deadline
) -> Root | None:
    """Fetch the packages and unpack them into a folder that appears complete or not at all."""
    offered = {package.name for package in suite.show((*BASE, *wanted), deadline)}
    if not offered.issuperset(BASE):
        return None
    missing = {
        name: f"Debian {suite.name} has no package {name}" for name in wanted if name not in offered
    }
    present = [name for name in wanted if name in offered]
    refused = suite.uninstallable(present, BASE, deadline)
    missing |= {
        name: f"{name} cannot be installed from Debian {suite.name}: {why}"
        for name, why in refused.items()
    }
    present = [name for name in present if name not in refused]
    began = time.monotonic()
    suite.download_closure((*BASE, *present), scratch, deadline)
    debs = sorted(scratch.glob("*.deb"))
    packages = tuple(_described(deb, deadline) for deb in debs)
    shape = hashlib.sha256("\n".join((root_tree.SHAPE, *packages)).encode()).hexdigest()
    folder = places.folder(SHELF) / f"{suite.name}-{shape[:32]}"
    if seals.unbroken(folder, places) is None:
        logger.info("unpacking %d packages of %s for servers", len(debs), suite.name)
        root_tree.build(debs, scratch / "tree", deadline)
        replace_folder(scratch / "tree", folder)
        seals.seal(folder, places)
        logger.info("unpacked within %.0f s", time.monotonic() - began)
    return Root(time.time(), str(folder), suite.name, packages, missing)


def _described(deb: Path, deadline: Deadline) -> str:
    form = "--showformat=${Package} ${Version}"
    said = apt.tool(["dpkg-deb", form, "--show", str(deb)], deadline)
    return f"{said.strip()} {seals.digest(deb)}"
