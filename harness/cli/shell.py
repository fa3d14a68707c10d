"""`shell`, `exec`, `gc`, `stop`: a developer's way in, and the ends of guests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.run.names import COLD, complete_guests, guest_folders

if TYPE_CHECKING:
    from harness.leases import Lease
    from harness.run.visit import Visited

SHELL_EPILOG = """\b
Examples:
  reuseport-matrix shell linux-6.12
  reuseport-matrix shell linux-6.12 --keep    the guest stays; a later shell is there at once
"""

EXEC_EPILOG = """\b
Examples:
  reuseport-matrix exec linux-6.12 -- uname -a
  reuseport-matrix exec linux-6.12 --keep -- sh -c 'cat > x' < file
\b
Exit status: the command's; 2 and 3 also as with `run`.
"""

GC_EPILOG = """\b
Examples:
  reuseport-matrix gc
  reuseport-matrix gc --cache        also what is kept for later runs: parked guests, an old cache
"""

STOP_EPILOG = """\b
Examples:
  reuseport-matrix stop              every guest that was kept or parked
  reuseport-matrix stop linux-6.12
"""


@click.command(epilog=SHELL_EPILOG)
@click.argument("guest", shell_complete=complete_guests)
@guest_folders()
@click.option("--provider", metavar="P", help="Let this provider start the guest, no other.")
@click.option("--keep", is_flag=True, help="Leave the guest up; `stop` ends it.")
@click.option("--cold", is_flag=True, help=COLD)
def shell(guest: str, folders: Sequence[Path], provider: str | None, keep: bool, cold: bool) -> int:
    """Log in to a guest; it is booted if it is not up, and ended afterwards unless kept."""
    from harness.run.interruption import deaf

    with _visited(guest, folders, provider, keep=keep, cold=cold) as visited, deaf():
        return visited.interactive(None)


@click.command(epilog=EXEC_EPILOG)
@click.argument("guest", shell_complete=complete_guests)
@click.argument("command", nargs=-1, required=True, metavar="-- CMD [ARGUMENT]...")
@guest_folders()
@click.option("--provider", metavar="P", help="Let this provider start the guest, no other.")
@click.option("--keep", is_flag=True, help="Leave the guest up; `stop` ends it.")
@click.option("--cold", is_flag=True, help=COLD)
def execute(
    guest: str,
    command: Sequence[str],
    folders: Sequence[Path],
    provider: str | None,
    keep: bool,
    cold: bool,
) -> int:
    """Run a command in a guest, with this terminal's input and output."""
    with _visited(guest, folders, provider, keep=keep, cold=cold) as visited:
        return visited.interactive(command)


@contextmanager
def _visited(
    name: str, folders: Sequence[Path], provider: str | None, *, keep: bool, cold: bool
) -> Iterator["Visited"]:
    from harness import leases
    from harness.machine.places import Places
    from harness.run.interruption import raising
    from harness.run.names import known_guest
    from harness.run.progress import speaking
    from harness.run.visit import visited

    places = Places.of_user()
    with raising(), speaking(verbose=True):
        leases.gc(places)
        known = known_guest(name, folders)
        with visited(known, places, only=provider, keep=keep, cold=cold) as guest:
            yield guest


@click.command(epilog=GC_EPILOG)
@click.option(
    "--cache",
    "of_cache",
    is_flag=True,
    help="End parked guests; delete cached files unused for 30 days, the least used beyond 4 GiB.",
)
def gc(of_cache: bool) -> None:
    """End every guest that no living run owns, or that is up for two days; nothing else, ever.

    Guests that were kept stay: `stop` ends those. So do those that are parked, powered off for a
    later run, until nobody took them for 30 days. Each run does this when it starts; a nightly also
    prunes the cache when it ends.
    """
    from harness import leases
    from harness.machine import cache
    from harness.machine.places import Places
    from harness.run.progress import speaking

    places = Places.of_user()
    with speaking():
        _say_ended(leases.gc(places))
        if of_cache:
            _say_ended(leases.discard(places, leases.parked(places)))
            click.echo(f"{cache.prune(places) / (1 << 20):.0f} MiB of {places.cache} freed")


@click.command(epilog=STOP_EPILOG)
@click.argument("names", nargs=-1, metavar="[GUEST]...")
def stop(names: Sequence[str]) -> None:
    """End guests that were kept or parked, or that no living run owns: the named ones, or all."""
    from harness import leases
    from harness.machine.places import Places
    from harness.run.nearest import unknown
    from harness.run.progress import speaking

    places = Places.of_user()
    known = [lease.guest for lease in leases.leases(places)]
    for name in names:
        if name not in known:
            raise unknown("running guest", name, known)
    with speaking():
        _say_ended(leases.stop(places, names))


def _say_ended(ended: "Sequence[Lease]") -> None:
    from harness.text import visible

    for lease in ended:
        since = "powered off for a later run" if lease.parked else f"up since {lease.created}"
        click.echo(f"ended {visible(lease.guest)}, {visible(since)}")
