"""`gc`: ends every guest that no living run owns."""

import click

from harness import leases
from harness.cli.output import say_ended
from harness.machine import cache
from harness.machine.places import Places
from harness.run.progress import speaking

EPILOG = """\b
Examples:
  reuseport-matrix gc
  reuseport-matrix gc --cache        also what is kept for later runs: parked guests, an old cache
"""


@click.command(epilog=EPILOG)
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
    places = Places.of_user()
    with speaking():
        say_ended(leases.gc(places))
        if of_cache:
            say_ended(leases.discard(places, leases.parked(places)))
            click.echo(f"{cache.prune(places) / (1 << 20):.0f} MiB of {places.cache} freed")
