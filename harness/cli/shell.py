"""`shell`: logs you in to a guest."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.options import complete_guests, guest_folders, visit_options

EPILOG = """\b
Examples:
  reuseport-matrix shell linux-6.12
  reuseport-matrix shell linux-6.12 --keep    leaves the guest up; the next shell needs no boot
"""


@click.command(epilog=EPILOG)
@click.argument("guest", shell_complete=complete_guests)
@guest_folders()
@visit_options()
def shell(guest: str, folders: Sequence[Path], provider: str | None, keep: bool, cold: bool) -> int:
    """Log in to a guest. It is booted if it is not up, and ended afterwards unless you keep it."""
    # Completion and --help import this module and need not wait for these imports.
    from harness.run.interruption import deaf
    from harness.run.visit import entered

    with entered(guest, folders, provider, keep=keep, cold=cold) as visited, deaf():
        return visited.interactive(None)
