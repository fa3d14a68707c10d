"""Finds the `runsc` for a guest: a file, a Debian package in the cache, or the one in PATH."""

import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.machine import seals
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute
from harness.model.guest import Gvisor
from harness.providers.packages import mirror
from harness.providers.packages.debian import Debian

logger = logging.getLogger(__name__)

NAME = "runsc"

WANTED = (f"usr/bin/{NAME}", f"usr/sbin/{NAME}")
"""The package's only file that is needed: the program is static."""

RELEASE = re.compile(r"\b(20[0-9]{6})(?:\.[0-9]+)?\b")
"""gVisor's releases are dates: `release-20240729.0`, in Debian's packages `0.0~20240729.0`."""

VERSION_SECONDS = 10.0
"""For `runsc --version`, which takes 0.03 s."""

HINT = f"install {NAME} into PATH, or name the file in the guest file (`gvisor: {{path: …}}`)"


class Runsc(Struct, frozen=True):
    """A `runsc` and its release (`20240729.0`); `origin` is provenance: package and digest."""

    path: Path
    release: str
    origin: Mapping[str, str] = {}

    @property
    def date(self) -> str:
        """The release, to compare it: a later date is a larger text; an unknown one is first."""
        return self.release if RELEASE.match(self.release) else ""


def refusal(wanted: Gvisor) -> str | None:
    """Return why no `runsc` can be had on this machine; None if one can."""
    if wanted.path is not None:
        return None if Path(wanted.path).is_file() else f"{wanted.path} does not exist"
    if wanted.installed and shutil.which(NAME) is not None:
        return None
    if wanted.debian is not None:
        return mirror.refusal()
    return f"{NAME} is not in PATH" if wanted.installed else "its `gvisor` section names no runsc"


def choose(wanted: Gvisor, places: Places, deadline: Deadline) -> Runsc:
    """Return the guest's `runsc`; raise `NotRunError` if there is none."""
    if wanted.path is not None:
        return _examined(Path(wanted.path), deadline)
    here = shutil.which(NAME) if wanted.installed else None
    installed = None if here is None else _examined(Path(here), deadline)
    if wanted.debian is None:
        if installed is None:
            raise NotRunError(f"{NAME} is not in PATH", hint=HINT)
        return installed
    try:
        packaged = _unpacked(wanted, places, deadline)
    except NotRunError as exc:
        if installed is None:
            raise NotRunError(str(exc), hint=HINT) from exc
        logger.info("%s is used: %s", installed.path, exc)
        return installed
    found = (packaged,) if installed is None else (packaged, installed)
    return max(found, key=lambda one: one.date)


def _unpacked(wanted: Gvisor, places: Places, deadline: Deadline) -> Runsc:
    assert wanted.debian is not None
    package = Debian(places, WANTED).package(wanted.debian, deadline)
    for path in package.root.rglob(NAME):
        origin = {
            "package": package.package,
            "package_version": package.version,
            "package_sha256": package.sha256,
            "suite": package.suite,
        }
        made = _examined(path, deadline)
        return replace(made, origin={**made.origin, **origin})
    raise ImageError(f"no {NAME} in the package {package.package} {package.version}")


def _examined(path: Path, deadline: Deadline) -> Runsc:
    """Ask a program for its version, so that no other program is taken for `runsc`."""
    try:
        done = execute([str(path), "--version"], deadline.within(VERSION_SECONDS))
        said = done.stdout.decode(errors="replace")
        sha256 = seals.digest(path)
    except (ToolTimeoutError, OSError) as exc:
        raise NotRunError(f"{path} does not tell its version: {exc}", hint=HINT) from exc
    line = (said.splitlines() or [""])[0]
    if done.status != 0 or not line.startswith(f"{NAME} version"):
        raise NotRunError(f"{path} --version does not answer as {NAME} does", hint=HINT)
    release = RELEASE.search(line)
    return Runsc(path, release[0] if release else "unknown", {"runsc_sha256": sha256})
