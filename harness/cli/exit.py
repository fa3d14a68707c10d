"""Exit statuses, and how an error is said: a sentence and what to do next, never a trace."""

from enum import IntEnum

import click

from harness.errors import BootError, HarnessError, UsageError
from harness.report.text import visible


class Exit(IntEnum):
    """What the exit status says."""

    OK = 0
    DIFFERS = 1
    USAGE = 2
    UNMEASURED = 3
    INTERRUPTED = 130

    @classmethod
    def of(cls, error: HarnessError) -> "Exit":
        """Return the status that follows from an error that ended a command."""
        return cls.USAGE if isinstance(error, UsageError) else cls.UNMEASURED


TAIL = 12
"""Lines of a console that are shown of a guest that did not come up."""


def complain_of(error: HarnessError) -> None:
    """Say an error; of a guest that did not come up, also the end of what its console said."""
    complain(str(error), hint=error.hint)
    if isinstance(error, BootError):
        for line in error.console.splitlines()[-TAIL:]:
            click.echo(f"console: {visible(line)}", err=True)


def complain(message: str, *, hint: str | None = None) -> None:
    """Write `error: …` and `hint: …` to standard error; a guest's words cannot steer it."""
    for label, text in (("error", message), ("hint", hint)):
        if text:
            lines = [visible(line) for line in text.splitlines()]
            click.echo(f"{label}: " + "\n  ".join(lines), err=True)
