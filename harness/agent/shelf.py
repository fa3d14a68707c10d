"""Agents that guests compiled, kept in the cache for guests that may run them.

A hostile guest could hand its agent to another guest, whose answers would then be its own. So an
agent is offered to the guest that compiled it, as long as its file and its image are the same, and
to another guest only if that one's file names the first (`compiled_in`). None runs on this machine.
"""

import hashlib
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from harness.agent.binary import Program
from harness.deadline import Deadline
from harness.machine import guarded, seals
from harness.machine.files import recall, remember, replace_folder, write_whole
from harness.machine.lock import locked
from harness.machine.places import Places
from harness.model import Guest

NAME = "guest-agents"
"""The shelf of the cache."""

LIMIT = 8 << 20
"""Bytes of the largest agent that is kept; a static one has less than 2 MiB."""

LOCK_SECONDS = 10.0
"""For another run to put its agent in place. Afterwards this one is not kept, which costs time."""

MARKS = (
    *("kernel_sha256", "initramfs_sha256", "disk_sha256", "image_sha256", "box", "box_version"),
    *("runsc_sha256", "package_sha256"),
)
"""The parts of a provenance that say which image a guest was made from."""

RELEASE = re.compile(r"\d{1,9}(\.\d{1,9}){0,7}")
"""The numbers at the start of `uname -r`: `6.4-RELEASE`, `10.1_STABLE`, `13.2-RELEASE-p1`."""


class Home(Struct, frozen=True):
    """Where an agent is compiled or runs: a guest, its image, and its `uname -sm` and `uname -r`.

    `identity` is a digest of the guest's file and image, `sources` that of the agent's sources.
    """

    guest: str
    identity: str
    sources: str
    platform: str
    release: str

    def why_not(self, builder: "Home") -> str | None:
        """Return why an agent that was compiled in `builder` may not run here; None if it may.

        The kernel must not be older than the compiler's, because systems keep the interfaces of
        old releases and not the other way round.
        """
        if self.platform != builder.platform:
            return f"it is for {builder.platform}, not {self.platform}"
        if self.release == builder.release:
            return None
        own, theirs = _numbers(self.release), _numbers(builder.release)
        if own is None or theirs is None or own < theirs:
            return f"it was compiled in release {builder.release}, and this is {self.release}"
        return None


class Kept(Struct, frozen=True):
    """An agent on the shelf: where it was compiled, and on which day (UTC)."""

    home: Home
    day: str

    @property
    def origin(self) -> str:
        """The words of the record."""
        return f"compiled in {self.home.guest} ({self.home.release}) on {self.day}"


def home(
    guest: Guest, provenance: Mapping[str, str], sources: bytes, platform: str, release: str
) -> Home:
    """Return where an agent would run. `provenance` is that of the live guest."""
    provider = provenance.get("provider", "")
    section = guest.section(provider)
    # The key of a machine that is already up is all that tells it from another one.
    names = (*MARKS, *(("host_key",) if section.elsewhere else ()))
    marks = {name: provenance.get(name) for name in names}
    written = msgspec.to_builtins((guest.name, guest.system, provider, section, marks))
    identity = hashlib.sha256(msgspec.json.encode(written, order="sorted")).hexdigest()
    return Home(guest.name, identity, hashlib.sha256(sources).hexdigest(), platform, release)


class Shelf:
    """The kept agents. An entry is a folder: `agent`, and `about.json` with its `Kept`."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def keep(self, content: bytes, where: Home) -> None:
        """Keep an agent that was compiled in this guest, in place of an earlier one."""
        shelf = self._places.folder(NAME)
        digest = hashlib.sha256(msgspec.json.encode(where)).hexdigest()
        final = shelf / f"{where.guest}-{digest[:32]}"
        lock = self._places.folder("locks") / f"{NAME}.lock"
        with (
            locked(lock, Deadline(LOCK_SECONDS)) as ours,
            tempfile.TemporaryDirectory(dir=self._places.folder("scratch")) as scratch,
        ):
            if not ours:
                return
            made = Path(scratch) / "entry"
            made.mkdir(mode=0o700)
            write_whole(made / "agent", content)
            remember(made / "about.json", Kept(where, time.strftime("%Y-%m-%d", time.gmtime())))
            replace_folder(made, final)
            seals.seal(final, self._places)

    def offer(self, where: Home, also: str | None) -> tuple[Program | None, str]:
        """Return the best agent for a guest, and if there is none, why.

        `also` names another guest whose agent this one may run. The guest's own comes first, then
        the newest.
        """
        reason = "none was kept" if also is None else f"none was kept from {also}"
        found = []
        for entry, kept in self._entries(where.sources):
            own = kept.home.identity == where.identity
            if not own and kept.home.guest != also:
                continue
            why = where.why_not(kept.home)
            if why is None:
                found.append((own, kept.day, entry, kept))
            else:
                reason = f"that of {kept.home.guest} does not fit: {why}"
        for _, _, entry, kept in sorted(found, key=lambda one: one[:3], reverse=True):
            if seals.unbroken(entry, self._places, afresh=True) is not None:
                content = guarded.read(entry / "agent", LIMIT, inside=entry)
                return Program(content, kept.origin), ""
            reason = f"that of {kept.home.guest} is damaged"
        return None, reason

    def _entries(self, sources: str) -> Iterator[tuple[Path, Kept]]:
        for entry in sorted(self._places.folder(NAME).iterdir()):
            kept = recall(entry / "about.json", Kept) if entry.is_dir() else None
            if kept is not None and kept.home.sources == sources:
                yield entry, kept


def _numbers(release: str) -> tuple[int, ...] | None:
    found = RELEASE.match(release)
    return tuple(int(part) for part in found[0].split(".")) if found else None
