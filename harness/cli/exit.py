"""Exit statuses, and how an error is printed: a sentence and a hint, never a traceback."""

import errno
import os
from enum import IntEnum
from pathlib import Path

import click

from harness.errors import HarnessError, InfrastructureError, UsageError
from harness.text import LONGEST, visible


class ExitStatus(IntEnum):
    """The exit statuses of all commands; the epilog of `--help` explains them."""

    OK = 0
    DIFFERS = 1
    USAGE = 2
    UNMEASURED = 3
    CRASHED = 70  # EX_SOFTWARE of sysexits.h(3head): a bug in this program
    INTERRUPTED = 130

    @classmethod
    def of(cls, error: HarnessError) -> "ExitStatus":
        """Return the status for an error that ended a command."""
        return cls.USAGE if isinstance(error, UsageError) else cls.UNMEASURED


def complain_of(error: HarnessError) -> None:
    """Print an error; if a guest failed, also the last lines of its console."""
    complain(str(error), hint=error.hint)
    if isinstance(error, InfrastructureError):
        for line in error.last_lines:
            click.echo(f"console: {visible(line)}", err=True)


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
UNUSABLE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)
WORLD = {*FULL, *REFUSED, *SHORT, *UNUSABLE}
"""errno of a full disk, a folder that this user may not write to, a machine or a limit without
room, and a path that no file can have. The world's errors, not ours, wherever they come up."""


def complain_of_room(error: OSError) -> bool:
    """Explain an error of the world about a file or a resource; False for any other error."""
    path, found = Path(os.fsdecode(error.filename or "")), _places()
    homes = [one for place in found for one in (*place.parents, place)]
    ours = path in homes or any(place in path.parents for place in found)
    if error.errno not in WORLD and not ours:
        return False
    where = f"{path}: " if error.filename else ""
    complain(f"{where}{error.strerror or error}", hint=_remedy(error, found))
    return True


def _places() -> tuple[Path, ...]:
    """Return the folders of this program; none if this user has no home."""
    from harness.machine.places import Places  # msgspec and platformdirs: 30 ms, for an error only

    try:
        places = Places.of_user()
    except UsageError:
        return ()
    return (places.cache, places.state)


def _remedy(error: OSError, places: tuple[Path, ...]) -> str | None:
    if error.errno in SHORT:
        return "raise the limit (`ulimit -a` shows it), or end other programs, and try again"
    if not places:
        return None
    cache, state = places
    return (
        f"this program keeps its files in {cache} (XDG_CACHE_HOME; `gc --cache` frees space) and "
        f"{state} (XDG_STATE_HOME)"
    )


def complain_of_output(error: OSError) -> None:
    """Say that standard output is closed or full."""
    complain(
        f"{error.filename} cannot be written: {error.strerror}",
        hint="redirect it to a place that takes it (`> FILE`); written files are kept",
    )


def complain(message: str, *, hint: str | None = None) -> None:
    """Write `error: …` and `hint: …` to standard error.

    A guest's text is shortened and made visible, so that it cannot fill or steer the terminal.
    """
    for label, text in (("error", message), ("hint", hint)):
        if text:
            lines = [visible(line) for line in text[:LONGEST].splitlines()]
            click.echo(f"{label}: " + "\n  ".join(lines), err=True)
