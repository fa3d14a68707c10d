"""Makes the three standard streams safe: each is there, and an error of one can be told apart."""

import io
import os
import sys
from typing import TextIO

OUTPUT = "standard output"
"""The `filename` of an error in writing to it. Otherwise such an error has none."""

FLAGS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""How /dev/null replaces a closed standard input, output and error.

Standard output cannot be written then, so a command that has results says so, and loses none
silently. Messages are dropped: who closed standard error wants none.
"""


class _Results(io.FileIO):
    """Standard output. Its errors say where they come from."""

    def write(self, content: object) -> int:
        """Write bytes; raise an OSError of the same class that has `OUTPUT` as its file."""
        try:
            return super().write(content)  # type: ignore[arg-type]  # a buffer
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, OUTPUT) from exc


class _Messages(io.FileIO):
    """Standard error. What cannot be written (a full disk, a closed pipe) is dropped.

    Otherwise a full log would end a run that could still measure.
    """

    def write(self, content: object) -> int:
        """Write bytes; say that all were written even if none could be."""
        with memoryview(content).cast("B") as view:  # type: ignore[arg-type]  # a buffer
            try:
                return super().write(view) or len(view)
            except OSError:
                return len(view)


def prepare() -> None:
    """Open what is closed, and let a character that the output's encoding lacks become a `?`.

    A closed descriptor would be given to the next file that is opened, and a message would then
    land in that file. Streams that another program has put in place (pytest) are left alone.
    """
    for descriptor, flags in enumerate(FLAGS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is used (POSIX, open), and all below are open by now.
            os.set_inheritable(os.open(os.devnull, flags), True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # a standard stream is never closed
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrapped(_Results(1, "w", closefd=False), sys.stdout, "replace")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrapped(_Messages(2, "w", closefd=False), sys.stderr, "backslashreplace")


def _wrapped(raw: io.FileIO, before: TextIO | None, errors: str) -> TextIO:
    """Return a text stream with the encoding of the one before, or UTF-8 if there was none."""
    if before is None:
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, line_buffering=True)
    kept = before.errors if before.errors not in (None, "strict") else errors
    return io.TextIOWrapper(io.BufferedWriter(raw), before.encoding, kept, line_buffering=True)


def drop_output() -> None:
    """Send standard output to /dev/null from here on.

    The interpreter flushes it once more when it ends, and would report the error then (Python docs,
    signal, "Note on SIGPIPE").
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
