"""Reports a bug of this program: keeps the traceback in a file, and says where it is."""

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

import click

from harness.cli.exit import complain
from harness.errors import HarnessError
from harness.machine.places import NAME, Places
from harness.machine.version import version
from harness.text import visible

SHOWN = 200
"""The most characters of the exception in the message; the file has all of it."""


def complain_of_bug(error: Exception) -> None:
    """Write the traceback to a file, and one line to standard error: what, where, what to do.

    Where no file can be written, the traceback follows on standard error.
    """
    trace = "".join(traceback.format_exception(error))
    system = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    path = _kept(f"{NAME} {version()}, {system}\n{' '.join(sys.argv)}\n\n{trace}")
    what = " ".join(f"{type(error).__name__}: {error}".split())[:SHOWN]
    where = "below" if path is None else f"in {path}"
    complain(f"a bug in {NAME} ended it: {what}; the traceback is {where}; please report it")
    for line in trace.splitlines() if path is None else ():
        click.echo(visible(line), err=True)


def _kept(text: str) -> Path | None:
    """Write the text to a new file that only this user can read; None if no folder takes it."""
    for folder in (_of_user, _temporary):
        try:
            descriptor, name = tempfile.mkstemp(".txt", "crash-", folder())
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode(errors="backslashreplace"))
        except (HarnessError, OSError):
            continue
        return Path(name)
    return None


def _of_user() -> Path:
    return Places.of_user().folder("crashes")


def _temporary() -> Path:
    return Path(tempfile.gettempdir())
