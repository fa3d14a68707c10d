"""Files that appear whole or not at all, whoever else writes them; answers kept in such files."""

import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

Kept = TypeVar("Kept")


def write_whole(path: Path, content: bytes, *, ending: str = "", durable: bool = False) -> None:
    """Write a file in one step; of several writers, threads or processes, the last one wins.

    Until then it has another name, with this `ending`: what a killed writer leaves can be told by
    it. With `durable` the content is on the disk before the name is (fsync(2)).
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
    """Name a file as it is now: another one, or another content, has another name.

    The content is not read. What is not there has a name of its own, too.
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
    """Return the answer that was kept there; None if there is none of this kind."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, ValueError):  # no JSON of ours, or no UTF-8
        return None
