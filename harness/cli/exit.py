"""Exit statuses, and how an error is printed: a sentence and a hint, never a traceback."""

import errno
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


REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""errno of a full disk, and of a folder that this user may not write to."""


def complain_of_room(error: OSError) -> bool:
    """Explain an error about a file that this program cannot write; False for any other error."""
    from harness.machine.places import Places  # msgspec and platformdirs: 30 ms, for an error only

    places, path = Places.of_user(), Path(str(error.filename or ""))
    homes = [*places.cache.parents, *places.state.parents, places.cache, places.state]
    ours = path in homes or places.cache in path.parents or places.state in path.parents
    if error.errno not in REFUSED and not ours:
        return False
    where = f"{error.filename}: " if error.filename else ""
    complain(
        f"{where}{error.strerror or error}",
        hint=f"this program keeps its files in {places.cache} (XDG_CACHE_HOME; `gc --cache` frees "
        f"space) and {places.state} (XDG_STATE_HOME)",
    )
    return True


def complain(message: str, *, hint: str | None = None) -> None:
    """Write `error: …` and `hint: …` to standard error.

    A guest's text is shortened and made visible, so that it cannot fill or steer the terminal.
    """
    for label, text in (("error", message), ("hint", hint)):
        if text:
            lines = [visible(line) for line in text[:LONGEST].splitlines()]
            click.echo(f"{label}: " + "\n  ".join(lines), err=True)
