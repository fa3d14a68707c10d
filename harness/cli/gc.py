"""`gc`: ends guests that no running command owns."""

import click

from harness import leases
from harness.cli.output import say_ended, say_unended
from harness.machine import cache
from harness.machine.places import Places
from harness.run.progress import speaking
from harness.text import visible

EPILOG = """\b
Examples:
  reuseport-matrix gc
  reuseport-matrix gc --cache        also ends parked guests and removes old cached files
\b
Exit status: 0; 3 if a guest could not be ended, or a lease is damaged.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--cache",
    "of_cache",
    is_flag=True,
    help="Also end parked guests, and delete cached files: those unused for 30 days, and the least "
    "recently used beyond 4 GiB.",
)
def gc(of_cache: bool) -> int:
    """End guests that no running command owns, and guests that have been up for two days.

    Guests that you kept stay up; `stop` ends them. Parked guests (powered off for a later run)
    stay until they have not been used for 30 days. Each run does this when it starts; `nightly`
    also prunes the cache when it ends.
    """
    places = Places.of_user()
    with speaking():
        say_ended(leases.gc(places))
        if of_cache:
            say_ended(leases.discard(places, leases.parked(places)))
            freed = cache.prune(places) / (1 << 20)
            click.echo(f"{freed:.0f} MiB of {visible(str(places.cache))} freed")
    return say_unended(leases.unended(places))
