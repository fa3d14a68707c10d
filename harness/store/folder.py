"""A run's folder: what the guests said is written before it is judged, and never twice."""

import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import FileError, UsageError
from harness.machine.files import write_whole
from harness.model import GUEST_NAME
from harness.store.journal import Asked, GuestMet, GuestMissed, Line, RunBegun, encode, read

JOURNAL = "journal.jsonl"

Made = TypeVar("Made")

ROOM = 8 << 20
"""Bytes that have to be free before a guest is booted: a full run's journal and replies."""


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into a `FileError` that says so."""
    try:
        yield
    except OSError as exc:
        hint = "name another place with --out, or -o"
        raise FileError(path, None, exc.strerror or str(exc), hint=hint) from exc


class AppendedFile:
    """A file that only grows: each `append` is one write(2), so that lines stay whole."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: Path) -> "AppendedFile":
        """Open the file of that name; make it if there is none."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with _translated(path):
            return cls(path, os.open(path, flags, 0o600))

    def append(self, content: bytes) -> int:
        """Add bytes at the end and return the offset at which they begin."""
        with self._lock, _translated(self._path):
            offset = os.lseek(self._descriptor, 0, os.SEEK_END)
            left = memoryview(content)
            while left:  # write(2) may stop short, at a full disk for one
                left = left[os.write(self._descriptor, left) :]
        return offset

    def content(self) -> bytes:
        """Return all that is in it."""
        with _translated(self._path):
            return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    def own(self) -> None:
        """Keep every other process from writing here, for as long as this file is open."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise FileError(self._path, None, "another run is writing here") from exc

    def drop_cut_line(self) -> None:
        """Cut a last line that lacks its newline, so that the next one starts a line."""
        content = self.content()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._descriptor, whole)

    def close(self) -> None:
        """Put it on the disk and let go of it."""
        with _translated(self._path):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)


class GuestRecord:
    """What is kept of one guest of a run: its journal lines, replies, facts, console."""

    def __init__(
        self, name: str, folder: Path, journal: AppendedFile, reader: ThreadPoolExecutor
    ) -> None:
        self.name = name
        self.folder = folder
        self._journal = journal
        self._reader = reader
        self._replies: AppendedFile | None = None

    @property
    def console(self) -> Path:
        """Where the guest's console log goes."""
        return console_of(self.folder.parent.parent, self.name)

    def met(self, line: GuestMet) -> None:
        """Keep how the guest was made and what it says of itself, after each boot."""
        content = {"provenance": line.provenance, "facts": line.facts}
        text = msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2)
        replace(self.folder / "facts.json", text + b"\n")
        self._journal.append(encode(line))

    def not_run(self, why: str, hint: str | None = None) -> None:
        """Keep why this machine cannot start the guest."""
        self._journal.append(encode(GuestMissed(self.name, why, hint)))

    @contextmanager
    def spool(self) -> Iterator[AppendedFile]:
        """Yield a file for what the guest says to a batch; without a name, it goes by itself."""
        with ExitStack() as stack:
            with _translated(self.folder):
                file = stack.enter_context(tempfile.TemporaryFile(dir=self.folder))
            yield AppendedFile(self.folder, file.fileno())

    def reading(self, work: Callable[[], Made]) -> Made:
        """Do what reads and judges a batch, in its turn: of all guests' answers one is in memory.

        In one thread, because malloc keeps for each thread some of what that thread gave back.
        """
        return self._reader.submit(work).result()

    def answered(self, asked: Asked, raw: bytes) -> Asked:
        """Keep what the agent said, as it said it; then that it was asked. Return the line."""
        if self._replies is None:
            self._replies = AppendedFile.at(self.folder / "agent.jsonl")
        # What a torn reply lacks is its newline: without one the file would not read as lines.
        offset = self._replies.append(raw if raw.endswith(b"\n") or not raw else raw + b"\n")
        line = msgspec.structs.replace(asked, raw=(offset, len(raw)))
        self._journal.append(encode(line))
        return line

    def close(self) -> None:
        """Put the replies on the disk."""
        if self._replies is not None:
            self._replies.close()
            self._replies = None


class Store:
    """A run's folder, open for writing by this process alone."""

    def __init__(self, folder: Path, journal: AppendedFile) -> None:
        self.folder = folder
        self._journal = journal
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._records: dict[str, GuestRecord] = {}

    @classmethod
    def create(cls, folder: Path, begun: RunBegun) -> "Store":
        """Make a run's folder; one that holds anything is not touched. Raise `FileError`."""
        with _translated(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken = any(folder.iterdir())
        if (folder / JOURNAL).exists():
            hint = "--resume asks what is missing in it; --out names another folder"
            raise FileError(folder, None, "holds a run already", hint=hint)
        if taken:
            hint = "--out names a folder that is empty or does not exist"
            raise FileError(folder, None, "is not empty, and not a run's folder", hint=hint)
        return cls._open(folder, begun)

    @classmethod
    def resume(cls, folder: Path, begun: RunBegun) -> "Store":
        """Open a run's folder to add to it. Raise `FileError` if it is none."""
        read(folder / JOURNAL)
        return cls._open(folder, begun)

    @classmethod
    def _open(cls, folder: Path, begun: RunBegun) -> "Store":
        _check_room(folder)
        journal = AppendedFile.at(folder / JOURNAL)
        journal.own()
        journal.drop_cut_line()
        store = cls(folder, journal)
        for name in begun.guests:
            store.guest(name)
        journal.append(encode(begun))
        return store

    def guest(self, name: str) -> GuestRecord:
        """Return the record of a guest; its name becomes a folder's, so it is checked."""
        if not GUEST_NAME.fullmatch(name):
            raise UsageError(f"a guest cannot be called {name!r}: letters, digits and . _ - only")
        if name not in self._records:
            folder = self.folder / "guests" / name
            with _translated(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._records[name] = GuestRecord(name, folder, self._journal, self._reader)
        return self._records[name]

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        """Put everything on the disk; the first thing that cannot be is reported."""
        self._reader.shutdown()
        for record in self._records.values():
            record.close()
        self._journal.close()


def console_of(folder: Path, guest: str) -> Path:
    """Return where the console of a run's guest is logged; nothing is made or looked at."""
    return folder / "guests" / guest / "console.log"


def lines_of(folder: Path) -> tuple[Line, ...]:
    """Read the journal of a run's folder."""
    return read(folder / JOURNAL)


def reply_of(folder: Path, asked: Asked) -> bytes:
    """Return the bytes that answered one asking; raise `FileError` if they are not all there.

    No more is read than those: all that a hostile guest said would not fit into memory.
    """
    if not GUEST_NAME.fullmatch(asked.guest):
        message = f"a guest called {asked.guest!r} is not one of ours"
        raise FileError(folder / JOURNAL, None, message)
    offset, length = asked.raw
    if (offset, length) == (0, 0):
        return b""
    try:
        with (folder / "guests" / asked.guest / "agent.jsonl").open("rb") as file:
            if offset >= 0 <= length and offset + length <= os.fstat(file.fileno()).st_size:
                return os.pread(file.fileno(), length, offset)
    except FileNotFoundError:
        pass
    except OSError as exc:
        message = f"cannot read what {asked.guest} said: {exc.strerror}"
        raise FileError(folder, None, message) from exc
    message = f"bytes {offset} to {offset + length} of what {asked.guest} said are missing"
    raise FileError(folder / JOURNAL, None, message)


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step; raise `FileError`."""
    with _translated(path):
        write_whole(path, content)


def make_folder(path: Path) -> None:
    """Make a folder if there is none; raise `FileError`."""
    with _translated(path):
        path.mkdir(parents=True, exist_ok=True)


def _check_room(folder: Path) -> None:
    """Raise `FileError` unless the folder can be written and has room for a run."""
    with _translated(folder), tempfile.TemporaryFile(dir=folder) as probe:
        status = os.fstatvfs(probe.fileno())
        probe.write(b"x")
        probe.flush()
    free = status.f_bavail * status.f_frsize
    if free < ROOM:
        message = f"only {free >> 10} KiB are free, a run needs {ROOM >> 10}"
        raise FileError(folder, None, message, hint="name another folder with --out")
