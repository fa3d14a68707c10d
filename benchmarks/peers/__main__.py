"""Compares with each peer, or with those named; what one needs is in its module.

python -m benchmarks.peers [vagrant] [virtme] [--repeat N]
"""

from collections.abc import Sequence

import click

from benchmarks.peers import vagrant, virtme
from benchmarks.peers.peer import compare
from harness.errors import HarnessError

PEERS = {"vagrant": vagrant.ready, "virtme": virtme.ready}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*PEERS]))
@click.option("--repeat", default=3, show_default=True)
def main(names: Sequence[str], repeat: int) -> None:
    """Compare with other programs."""
    for name in names or PEERS:
        try:
            with PEERS[name]() as peer:
                compare(name, peer, repeat)
        except HarnessError as exc:
            raise click.ClickException("; ".join(filter(None, (str(exc), exc.hint)))) from exc


if __name__ == "__main__":
    main()
