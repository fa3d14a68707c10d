"""Opens files that a stranger may have put there: regular files only, of a limited size.

`inside` is the folder that the user named: below it no link is followed, neither to a file nor to a
folder. Without it the user named the file itself, and may have named it by a link. A pipe, a socket
or a device is refused without being opened, because that may wait for ever (fifo(7)) or act on a
device. All errors are `OSError`s.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path

from msgspec import Struct

LIMIT = 64 << 20
"""Bytes of the largest file that is read whole: 150 guests' full matrices, or their journal."""

FLAGS = {
    "rb": os.O_RDONLY,
    "r+b": os.O_RDWR,
    "ab": os.O_WRONLY | os.O_APPEND | os.O_CREAT,
    "a+b": os.O_RDWR | os.O_APPEND | os.O_CREAT,
}
"""Modes of `open`, and the flags of open(2). None of them truncates, as that would come first."""

SAFE = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

KINDS = (
    (stat.S_ISLNK, "is a link, and is not followed"),
    (stat.S_ISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, "is a pipe, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)


class IrregularFileError(OSError):
    """Something that is not opened: no regular file, a link, or larger than the limit."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(errno.EINVAL, why, str(path))


class _Spot(Struct, frozen=True):
    """A name in an open folder (a path and None if links may be followed)."""

    name: str
    folder: int | None

    def status(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=self.folder is None)


def descriptor(path: Path, mode: str = "rb", *, inside: Path | None = None) -> int:
    """Open a regular file and return its descriptor; a new file has the mode 0600.

    A file with a second name (a hard link) is not opened for writing: the other one may be outside.
    """
    flags = FLAGS[mode] | SAFE | (0 if inside is None else os.O_NOFOLLOW)
    with _spot(path, inside) as spot:
        try:
            _refuse(path, spot.status(), mode)
        except FileNotFoundError:
            if mode not in ("ab", "a+b"):
                raise
        opened = os.open(spot.name, flags, 0o600, dir_fd=spot.folder)
    try:
        _refuse(path, os.fstat(opened), mode)  # it may have been replaced meanwhile
    except BaseException:
        os.close(opened)
        raise
    return opened


@contextmanager
def file(path: Path, mode: str = "rb", *, inside: Path | None = None) -> Iterator[BufferedIOBase]:
    """Open a regular file for the block."""
    with os.fdopen(descriptor(path, mode, inside=inside), mode) as opened:
        assert isinstance(opened, BufferedIOBase)
        yield opened


def read(path: Path, limit: int = LIMIT, *, inside: Path | None = None) -> bytes:
    """Return a file's content of at most `limit` bytes."""
    with file(path, inside=inside) as opened:
        size = os.fstat(opened.fileno()).st_size
        # Of a sparse file the size is known at once. One that grows is read up to the limit only.
        content = opened.read(limit + 1) if size <= limit else b""
    if max(size, len(content)) > limit:
        raise IrregularFileError(path, f"is larger than {_shown(limit)}, the most that is read")
    return content


def check(path: Path, *, inside: Path) -> None:
    """Raise an `OSError` if there is something that `descriptor` would not open for writing."""
    with _spot(path, inside) as spot:
        try:
            _refuse(path, spot.status(), "ab")
        except FileNotFoundError:
            return


def make_folder(path: Path, *, inside: Path) -> None:
    """Make a folder below `inside`, with the mode 0700, and its missing parents."""
    with _spot(path / "x", inside, make=True):
        pass


def replace(path: Path, content: bytes, *, inside: Path) -> None:
    """Write a file in one step, as `files.write_whole` does; a link there is replaced."""
    with _spot(path, inside) as spot:
        scratch = f".{spot.name}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        opened = os.open(scratch, flags, 0o600, dir_fd=spot.folder)
        try:
            with os.fdopen(opened, "wb") as made:
                made.write(content)
            os.replace(scratch, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
        except BaseException:
            os.unlink(scratch, dir_fd=spot.folder)
            raise


def _refuse(path: Path, status: os.stat_result, mode: str) -> None:
    for fits, why in KINDS:
        if fits(status.st_mode):
            raise IrregularFileError(path, why)
    if not stat.S_ISREG(status.st_mode):
        raise IrregularFileError(path, "is not a file")
    if mode != "rb" and status.st_nlink > 1:
        raise IrregularFileError(path, "has a second name (a hard link), and is not written to")


@contextmanager
def _spot(path: Path, inside: Path | None, *, make: bool = False) -> Iterator[_Spot]:
    """Yield where a file is, with its folder open; no link below `inside` is followed."""
    if inside is None:
        yield _Spot(os.fspath(path), None)
        return
    *parts, name = path.relative_to(inside).parts
    if ".." in (*parts, name):
        raise IrregularFileError(path, f"is not inside {inside}")
    here = os.open(inside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with closing(_Folder(here)) as folder:
        for depth, part in enumerate(parts):
            folder.enter(part, inside.joinpath(*parts[: depth + 1]), make=make)
        yield _Spot(name, folder.descriptor)


class _Folder:
    """An open folder, from which one goes down, one name at a time."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def enter(self, name: str, path: Path, *, make: bool) -> None:
        """Go into a folder in it; `path` is for messages."""
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.descriptor)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            inner = os.open(name, flags, dir_fd=self.descriptor)
        except NotADirectoryError as exc:  # also for a link, because of O_DIRECTORY (open(2))
            raise IrregularFileError(path, "is a link or a file, not a folder") from exc
        except OSError as exc:
            if exc.errno != errno.ELOOP:
                raise
            raise IrregularFileError(path, "is a link, and is not followed") from exc
        os.close(self.descriptor)
        self.descriptor = inner

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


def _shown(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
