"""`shell`: a developer's way into a guest."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.options import complete_guests, guest_folders, visit_options

EPILOG = """\b
Examples:
  reuseport-matrix shell linux-6.12
  reuseport-matrix shell linux-6.12 --keep    the guest stays; a later shell is there at once
"""


@click.command(epilog=EPILOG)
@click.argument("guest", shell_complete=complete_guests)
@guest_folders()
@visit_options()
def shell(guest: str, folders: Sequence[Path], provider: str | None, keep: bool, cold: bool) -> int:
    """Log in to a guest; it is booted if it is not up, and ended afterwards unless kept."""
    # Completion and --help import this module, and must not wait for what boots guests.
    from harness.run.interruption import deaf
    from harness.run.visit import entered

    with entered(guest, folders, provider, keep=keep, cold=cold) as visited, deaf():
        return visited.interactive(None)
