"""A run's folder: each answer of a guest is written before it is judged, and never changed."""

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
from harness.machine import guarded
from harness.machine.files import as_json, write_whole
from harness.model import ROW_NAME
from harness.store.journal import Asked, GuestMet, GuestMissed, Line, RunBegun, encode, read

JOURNAL = "journal.jsonl"

REPLIES, FACTS, CONSOLE, MESSAGES = "agent.jsonl", "facts.json", "console.log", "console.qemu.log"
"""The files of a guest's folder; the last one holds QEMU's own messages."""

LONGEST = 16 << 20
"""Bytes of the longest reply that is read; of a batch's output 8 MiB are kept (`shell.CAP`)."""

Made = TypeVar("Made")

ROOM = 8 << 20
"""Bytes that must be free before a guest is booted: enough for the files of a full run."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a `FileError`."""
    try:
        yield
    except OSError as exc:
        hint = "name another place with --out, or -o"
        where = exc.filename if isinstance(exc, guarded.IrregularFileError) else path
        raise FileError(where, None, exc.strerror or str(exc), hint=hint) from exc


class AppendedFile:
    """A file that only grows. `append` writes at the end under a lock, so that lines stay whole."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: Path, inside: Path) -> "AppendedFile":
        """Open the file at this path; make it if it does not exist."""
        with translated(path):
            return cls(path, guarded.descriptor(path, "a+b", inside=inside))

    def append(self, content: bytes) -> int:
        """Add bytes at the end and return the offset at which they begin."""
        with self._lock, translated(self._path):
            offset = os.lseek(self._descriptor, 0, os.SEEK_END)
            left = memoryview(content)
            while left:  # write(2) may write less, for example when the disk is full
                left = left[os.write(self._descriptor, left) :]
        return offset

    def content(self) -> bytes:
        """Return the whole content."""
        with translated(self._path):
            return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    def own(self) -> None:
        """Lock out every other process while this file is open; raise `FileError`."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise FileError(self._path, None, "another run is writing here") from exc

    def drop_cut_line(self) -> None:
        """Remove a last line without a newline, so that the next line starts on its own."""
        content = self.content()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._descriptor, whole)

    def close(self) -> None:
        """Write it to the disk (fsync) and close it."""
        with translated(self._path):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)


class GuestRecord:
    """The records of one guest in a run: its journal lines, replies, facts and console."""

    def __init__(
        self, name: str, folder: Path, journal: AppendedFile, reader: ThreadPoolExecutor
    ) -> None:
        self.name = name
        self.folder = folder
        self._journal = journal
        self._reader = reader
        self._replies: AppendedFile | None = None
        self._lock = threading.Lock()

    @property
    def console(self) -> Path:
        """The path of the guest's console log."""
        return console_of(self._run, self.name)

    @property
    def _run(self) -> Path:
        return self.folder.parent.parent

    def met(self, line: GuestMet) -> None:
        """Record the guest's provenance and facts, after each boot."""
        content = {"provenance": line.provenance, "facts": line.facts}
        text = msgspec.json.format(as_json(content, order="sorted"), indent=2)
        path = self.folder / FACTS
        with translated(path):
            guarded.replace(path, text + b"\n", inside=self._run)
        self._journal.append(encode(line))

    def not_run(self, why: str, hint: str | None = None) -> None:
        """Record why this machine cannot start the guest."""
        self._journal.append(encode(GuestMissed(self.name, why, hint)))

    @contextmanager
    def spool(self) -> Iterator[AppendedFile]:
        """Yield a file for the output of a batch. It has no name, so the system removes it."""
        with ExitStack() as stack:
            with translated(self.folder):
                file = stack.enter_context(tempfile.TemporaryFile(dir=self.folder))
            yield AppendedFile(self.folder, file.fileno())

    def reading(self, work: Callable[[], Made]) -> Made:
        """Run `work`, which reads and judges a batch, in the one thread that does this for all.

        So only one batch is in memory at a time. It is always the same thread, because malloc keeps
        some freed memory for each thread.
        """
        return self._reader.submit(work).result()

    def answered(self, asked: Asked, raw: bytes) -> Asked:
        """Write the agent's reply unchanged, then the journal's line; return that line.

        In this order, so that a line never refers to bytes that are missing.
        """
        with self._lock:  # the copies of a guest answer at the same time
            if self._replies is None:
                self._replies = AppendedFile.at(self.folder / REPLIES, self._run)
        # A torn reply may lack its newline. Add one, so that the file can be read line by line.
        offset = self._replies.append(raw if raw.endswith(b"\n") or not raw else raw + b"\n")
        line = msgspec.structs.replace(asked, raw=(offset, len(raw)))
        self._journal.append(encode(line))
        return line

    def close(self) -> None:
        """Write the replies to the disk and close their file."""
        if self._replies is not None:
            self._replies.close()
            self._replies = None


class Store:
    """A run's folder that only this process may write to."""

    def __init__(self, folder: Path, journal: AppendedFile) -> None:
        self.folder = folder
        self._journal = journal
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._records: dict[str, GuestRecord] = {}

    @classmethod
    def create(cls, folder: Path, begun: RunBegun) -> "Store":
        """Make a run's folder; raise `FileError` if it exists and is not empty."""
        with translated(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken = any(folder.iterdir())
        if (folder / JOURNAL).exists():
            hint = "measure its missing cells with --resume, or name another folder with --out"
            raise FileError(folder, None, "already holds a run", hint=hint)
        if taken:
            hint = "name a folder with --out that is empty or does not exist"
            raise FileError(folder, None, "is not empty and not a run's folder", hint=hint)
        return cls._open(folder, begun)

    @classmethod
    def resume(cls, folder: Path, begun: RunBegun) -> "Store":
        """Open a run's folder to add to it; raise `FileError` if it holds no run."""
        read(folder / JOURNAL)
        return cls._open(folder, begun)

    @classmethod
    def _open(cls, folder: Path, begun: RunBegun) -> "Store":
        _check_room(folder)
        journal = AppendedFile.at(folder / JOURNAL, folder)
        with ExitStack() as failed:
            failed.callback(journal.close)
            journal.own()
            journal.drop_cut_line()
            store = cls(folder, journal)
            for name in begun.guests:
                store.guest(name)
            journal.append(encode(begun))
            failed.pop_all()
        return store

    def guest(self, name: str) -> GuestRecord:
        """Return the record of a guest; raise `UsageError` if no folder can have its name."""
        if not ROW_NAME.fullmatch(name):
            raise UsageError(f"a guest cannot be called {name!r}: use letters, digits and . _ -")
        if name not in self._records:
            folder = self.folder / "guests" / name
            with translated(folder):
                guarded.make_folder(folder, inside=self.folder)
            self._check(folder)
            self._records[name] = GuestRecord(name, folder, self._journal, self._reader)
        return self._records[name]

    def _check(self, folder: Path) -> None:
        """Raise `FileError` for a file of the guest that is not to be written to.

        Providers write to the console's log by its path, so all are checked before a guest boots.
        """
        for name in (REPLIES, FACTS, CONSOLE, MESSAGES):
            with translated(folder / name):
                guarded.check(folder / name, inside=self.folder)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        """Write everything to the disk and close it; the first failure is raised."""
        self._reader.shutdown()
        for record in self._records.values():
            record.close()
        self._journal.close()


def console_of(folder: Path, guest: str) -> Path:
    """Return the path of the console log of a run's guest; the file need not exist.

    `guest` is its label (`Guest.label`): further copies have logs of their own.
    """
    name, _, copy = guest.partition("+")
    return folder / "guests" / name / (f"console-{copy}.log" if copy else CONSOLE)


def lines_of(folder: Path) -> tuple[Line, ...]:
    """Read the journal of a run's folder; return its valid lines."""
    return read(folder / JOURNAL).lines


def reply_of(folder: Path, asked: Asked) -> bytes:
    """Return the bytes that answered one question; raise `FileError` if some are missing.

    Only these bytes are read, because all replies of a hostile guest might not fit into memory.
    """
    if not ROW_NAME.fullmatch(asked.guest):
        message = f"a guest cannot be called {asked.guest!r}"
        raise FileError(folder / JOURNAL, None, message)
    offset, length = asked.raw
    if (offset, length) == (0, 0):
        return b""
    path = folder / "guests" / asked.guest / REPLIES
    with translated(path), guarded.file(path, inside=folder) as file:
        sane = offset >= 0 <= length <= LONGEST
        if sane and offset + length <= os.fstat(file.fileno()).st_size:
            return os.pread(file.fileno(), length, offset)
    raise FileError(path, None, f"bytes {offset} to {offset + length} are missing")


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step; raise `FileError`."""
    with translated(path):
        write_whole(path, content)


def make_folder(path: Path) -> None:
    """Make a folder if there is none; raise `FileError`."""
    with translated(path):
        path.mkdir(parents=True, exist_ok=True)


def _check_room(folder: Path) -> None:
    """Raise `FileError` unless the folder can be written and has room for a run."""
    with translated(folder), tempfile.TemporaryFile(dir=folder) as probe:
        status = os.fstatvfs(probe.fileno())
        probe.write(b"x")
        probe.flush()
    free = status.f_bavail * status.f_frsize
    if free < ROOM:
        message = f"only {free >> 10} KiB are free, but a run needs {ROOM >> 10} KiB"
        raise FileError(folder, None, message, hint="name another folder with --out")
