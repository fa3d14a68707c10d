"""`exec`: runs a command in a guest, with this terminal's input and output."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.options import complete_guests, guest_folders, visit_options

EPILOG = """\b
Examples:
  reuseport-matrix exec linux-6.12 -- uname -a
  reuseport-matrix exec linux-6.12 --keep -- sh -c 'cat > x' < file
\b
Exit status: that of the command; 141 if nobody reads its output any more (`| head`);
2 and 3 can also mean the same as with `run`.
"""


@click.command("exec", epilog=EPILOG)
@click.argument("guest", shell_complete=complete_guests)
@click.argument("command", nargs=-1, required=True, metavar="-- CMD [ARGUMENT]...")
@guest_folders()
@visit_options()
def execute(
    guest: str,
    command: Sequence[str],
    folders: Sequence[Path],
    provider: str | None,
    keep: bool,
    cold: bool,
) -> int:
    """Run a command in a guest, with this terminal's input and output."""
    # Completion and --help import this module and need not wait for this import.
    from harness.run.visit import entered

    with entered(guest, folders, provider, keep=keep, cold=cold) as visited:
        return visited.interactive(command)
