"""Debian's archive as this machine reaches it, and answers from it that are kept for a day.

The mirror is that of this machine's apt, or the environment variable `MIRROR`; none is hard-coded.
"""

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.machine import seals
from harness.machine.architecture import machine
from harness.machine.files import recall, remember
from harness.machine.lock import locked
from harness.machine.places import Places
from harness.providers.packages import apt
from harness.providers.packages.apt import AptError, Source, Suite

logger = logging.getLogger(__name__)

MIRROR = "REUSEPORT_MATRIX_MIRROR"
"""Environment variable: the address of a Debian mirror, if apt has none configured."""

HINT = (
    f"set {MIRROR} to the address of a Debian mirror, or name a kernel file in the guest file "
    "(`kernel:`)"
)


class Answer(Protocol):
    """What the archive gave: when (seconds since the epoch), and the sealed folders with it."""

    @property
    def at(self) -> float:
        """When the archive was asked."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the cache that hold it."""


Given = TypeVar("Given", bound=Answer)
Found = TypeVar("Found")

Fetch = Callable[[Suite, Path, Deadline], Found | None]
"""Fetches something of a suite, with an empty folder to work in; None if the suite lacks it."""


def refusal(what: str = "a kernel") -> str | None:
    """Return why this machine cannot fetch packages; None if it can."""
    if machine() != "x86_64":
        return f"{what} can be fetched only for amd64; this machine is {machine()}"
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not found, needed to fetch {what}" if missing else None


class Archive:
    """Debian's archive, at all the addresses that this machine's apt knows."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def resolve(
        self, question: str, kind: type[Given], ask: Callable[[], Given], deadline: Deadline
    ) -> Given:
        """Return the remembered answer for a day; then ask the archive again, and fetch news."""
        name = hashlib.sha256(question.encode()).hexdigest()[:16]
        memory = self._places.folder("resolved") / f"{name}.json"
        # The name contains the question, so another suite or pattern never gets this answer.
        if (known := self._recall(memory, kind)) and self._is_good(known):
            return known
        reason = refusal()
        if reason is not None:
            raise NotRunError(reason, hint=HINT)
        with self.locked(name, deadline):
            # Another run may have fetched it while we waited for the lock.
            if (other := self._recall(memory, kind)) and self._is_good(other):
                return other
            try:
                found = ask()
            except NotRunError as exc:
                # Without a network, an old kernel is better than none.
                if known is None:
                    raise
                logger.warning("%s; using the one fetched on %s", exc, time.ctime(known.at))
                for folder in known.folders:
                    seals.seal(folder, self._places)  # an earlier version made no seals
                return known
            remember(memory, found)
        return found

    def first(
        self, suites: Sequence[str], what: str, fetch: Fetch[Found], deadline: Deadline
    ) -> Found:
        """Return what is fetched from the first of the suites that has it.

        Raise `NotRunError` if none has it, or none can be reached.
        """
        problems = []
        try:
            sources = self._sources(deadline)
        except AptError as exc:
            raise NotRunError(f"apt has no archive configured: {exc}", hint=HINT) from exc
        # The suites are in order of preference: try all archives for one before the next.
        for name in suites:
            for source in sources:
                try:
                    found = self._fetched(name, source, fetch, deadline)
                except AptError as exc:
                    problems.append(f"{name}: {exc}")
                else:
                    if found is not None:
                        return found
                    problems.append(f"{name}: not offered")
        raise NotRunError(f"cannot fetch {what}: {'; '.join(problems)}", hint=HINT)

    @contextmanager
    def locked(self, name: str, deadline: Deadline) -> Iterator[None]:
        """Hold a lock of this cache during the block."""
        path = self._places.folder("locks") / f"{name}.lock"
        with locked(path, deadline) as ours:
            if not ours:
                raise ImageError(f"another run has held the lock {path} for too long")
            yield

    def _recall(self, memory: Path, kind: type[Given]) -> Given | None:
        """Return the remembered answer; None if one of its folders was deleted or changed since."""
        found = recall(memory, kind)
        folders = () if found is None else found.folders
        whole = all(one.is_dir() and not seals.is_broken(one, self._places) for one in folders)
        return found if whole else None

    def _is_good(self, known: Answer) -> bool:
        """Return whether an answer is less than a day old and its folders are sealed."""
        fresh = time.time() - known.at < apt.INDEX_SECONDS
        return fresh and all(seals.unbroken(one, self._places) for one in known.folders)

    def _sources(self, deadline: Deadline) -> tuple[Source, ...]:
        mirror = os.environ.get(MIRROR)
        if mirror:
            return (Source(mirror, apt.debian_keyring()),)
        return apt.sources_of_machine(self._places.folder("apt", "machine"), deadline)

    def _fetched(
        self, name: str, source: Source, fetch: Fetch[Found], deadline: Deadline
    ) -> Found | None:
        key = hashlib.sha256(msgspec.json.encode(source)).hexdigest()[:8]
        suite = Suite(name, source, self._places.folder("apt", f"{name}-{key}"))
        with self.locked(f"{name}-{key}", deadline):
            suite.refresh(deadline)
            scratch = Path(tempfile.mkdtemp(dir=self._places.folder("scratch")))
            try:
                return fetch(suite, scratch, deadline)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
