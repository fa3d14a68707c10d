"""Exit statuses, and how an error is said: a sentence and what to do next, never a trace."""

import errno
from enum import IntEnum
from pathlib import Path

import click

from harness.errors import HarnessError, InfrastructureError, UsageError
from harness.text import LONGEST, visible


class ExitStatus(IntEnum):
    """What the exit status says."""

    OK = 0
    DIFFERS = 1
    USAGE = 2
    UNMEASURED = 3
    INTERRUPTED = 130

    @classmethod
    def of(cls, error: HarnessError) -> "ExitStatus":
        """Return the status that follows from an error that ended a command."""
        return cls.USAGE if isinstance(error, UsageError) else cls.UNMEASURED


def complain_of(error: HarnessError) -> None:
    """Say an error; of a guest that failed, also the end of what its console said."""
    complain(str(error), hint=error.hint)
    if isinstance(error, InfrastructureError):
        for line in error.last_lines:
            click.echo(f"console: {visible(line)}", err=True)


REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What a disk says that takes nothing more, and a folder that is not ours to write to."""


def complain_of_room(error: OSError) -> bool:
    """Say that files of ours cannot be written, if it is that; whether it was."""
    from harness.machine.places import Places  # msgspec and platformdirs: 30 ms, for an error only

    places, path = Places.of_user(), Path(str(error.filename or ""))
    homes = [*places.cache.parents, *places.state.parents, places.cache, places.state]
    ours = path in homes or places.cache in path.parents or places.state in path.parents
    if error.errno not in REFUSED and not ours:
        return False
    where = f"{error.filename}: " if error.filename else ""
    complain(
        f"{where}{error.strerror or error}",
        hint=f"files of ours are in {places.cache} (XDG_CACHE_HOME; `gc --cache` makes room) and "
        f"{places.state} (XDG_STATE_HOME)",
    )
    return True


def complain(message: str, *, hint: str | None = None) -> None:
    """Write `error: …` and `hint: …` to standard error; a guest's words cannot steer or fill it."""
    for label, text in (("error", message), ("hint", hint)):
        if text:
            lines = [visible(line) for line in text[:LONGEST].splitlines()]
            click.echo(f"{label}: " + "\n  ".join(lines), err=True)
