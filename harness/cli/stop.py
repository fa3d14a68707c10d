"""`stop`: ends guests that were kept."""

from collections.abc import Sequence

import click

from harness import leases
from harness.cli.output import say_ended, say_unended
from harness.machine.places import Places
from harness.run.nearest import unknown
from harness.run.progress import speaking

EPILOG = """\b
Examples:
  reuseport-matrix stop              ends every guest that was kept or parked
  reuseport-matrix stop linux-6.12
\b
Exit status: 0; 2 if no guest has this name; 3 if one could not be ended, or a lease is damaged.
"""


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[GUEST]...")
def stop(names: Sequence[str]) -> int:
    """End kept and parked guests, and guests that no running command owns: by name, or all."""
    places = Places.of_user()
    known = [lease.guest for lease in leases.leases(places)]
    for name in names:
        if name not in known and not leases.damaged(places):  # such a lease may be this guest's
            raise unknown("running guest", name, known)
    with speaking():
        say_ended(leases.stop(places, names))
    return say_unended(leases.unended(places, names))
