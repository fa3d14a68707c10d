"""Writes files whole or not at all, even with several writers; keeps answers in such files."""

import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

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


def identity(path: Path) -> str:
    """Return a text that changes when the file is replaced or its content changes.

    It consists of path, inode, size and mtime; the content is not read. A missing file has a text,
    too.
    """
    try:
        file = path.stat()
    except OSError:
        return f"{path} -"
    return f"{path} {file.st_ino} {file.st_size} {file.st_mtime_ns}"


def remember(path: Path, answer: object) -> None:
    """Keep an answer, as JSON, for `recall`."""
    write_whole(path, msgspec.json.encode(answer))


def recall(path: Path, kind: type[Kept]) -> Kept | None:
    """Return the answer kept in a file; None if the file holds no answer of this kind."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, ValueError):  # msgspec's errors and bad UTF-8 are ValueErrors
        return None
