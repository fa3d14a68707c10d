"""Writes files whole or not at all, even with several writers; keeps answers in such files."""

import json
import os
import tempfile
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from harness.machine import guarded
from harness.machine.guarded import IrregularFileError

Kept = TypeVar("Kept")


def write_whole(path: Path, content: bytes, *, ending: str = "", durable: bool = False) -> None:
    """Write a file in one step. Of several writers (threads or processes) the last one wins.

    The content is written under another name that ends in `ending`, and then renamed; by the ending
    you can recognise what a killed writer left. With `durable` the content is on the disk before
    the rename (fsync(2)).
    """
    descriptor, scratch = tempfile.mkstemp(ending, f".{path.name}.", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def replace_folder(made: Path, final: Path) -> None:
    """Rename a folder into place; what is there already is moved to where `made` was.

    If another process is faster, its folder stays.
    """
    aside = made.with_name(f"{made.name}.old")
    if final.is_dir():
        final.rename(aside)
    try:
        made.rename(final)
    except OSError:
        if not final.is_dir():
            raise
    if aside.is_dir():
        aside.rename(made)


def identity(path: Path) -> str:
    """Return a text that changes when the file is replaced or its content changes.

    It consists of path, inode, size, mtime and ctime; the content is not read. No program can set
    the ctime, so a change shows even if the mtime was put back. A missing file has a text, too.
    """
    try:
        file = path.stat()
    except OSError:
        return f"{path} -"
    return f"{path} {file.st_ino} {file.st_size} {file.st_mtime_ns} {file.st_ctime_ns}"


def as_json(value: object, *, order: Literal["sorted"] | None = None) -> bytes:
    """Return a value as JSON. Of a path that is not UTF-8, each odd byte becomes a `?`."""
    try:
        return msgspec.json.encode(value, order=order)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value, order=order), ensure_ascii=False)
        return text.encode(errors="replace")


def as_exact_json(value: object) -> bytes:
    r"""Return a value as JSON that `from_exact_json` reads: odd bytes of paths become `\udcNN`.

    Such a text is half of a surrogate pair (PEP 383). Python's json takes it, many others do not.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode()


def from_exact_json(content: bytes, kind: type[Kept]) -> Kept:
    """Return the value in the JSON of `as_exact_json`; raise ValueError for anything else."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        if b"\\udc" not in content:
            raise
    return msgspec.convert(json.loads(content), kind)


def remember(path: Path, answer: object) -> None:
    """Keep an answer, as JSON, for `recall`."""
    write_whole(path, as_exact_json(answer))


def recall(path: Path, kind: type[Kept]) -> Kept | None:
    """Return the answer kept in a file; None if the file holds no answer of this kind."""
    try:
        return from_exact_json(guarded.read(path, inside=path.parent), kind)
    except (FileNotFoundError, IrregularFileError):
        return None
    except (ValueError, RecursionError):  # msgspec's errors and bad UTF-8 are ValueErrors
        return None
