"""Compares with all peers, or with the named ones; each peer's module lists what it needs.

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
    """Compare a run with other programs: with those you name, or with all."""
    for name in names or PEERS:
        try:
            with PEERS[name]() as peer:
                compare(name, peer, repeat)
        except HarnessError as exc:
            raise click.ClickException("; ".join(filter(None, (str(exc), exc.hint)))) from exc


if __name__ == "__main__":
    main()
