"""`servers`: lists the servers that a run can restart under load, and their ways to restart."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from harness.cli.options import EVERY, server_folders
from harness.cli.table import write_json, write_table
from harness.model.server import FIRST_SYSTEM, Server
from harness.run.names import known_servers

EPILOG = """\b
Examples:
  reuseport-matrix servers
  reuseport-matrix servers --servers DIR --json
  reuseport-matrix run host --server nginx
"""


@click.command(epilog=EPILOG)
@server_folders()
@click.option("--json", "as_json", is_flag=True, help="A list of name, title, ways, packages, …")
def servers(server_folders: Sequence[str], as_json: bool) -> None:
    """List the servers that `run --server NAME` restarts under load, and their ways to restart.

    Starts and fetches nothing. A guest that lacks a server's package or program says so in its
    cells (not-applicable).
    """
    known = known_servers([Path(one) for one in server_folders if one != EVERY])
    if as_json:
        write_json([_plain(one) for one in known.values()])
        return
    write_table([_row(one) for one in known.values()])


def _row(server: Server) -> Sequence[str]:
    needs = [*server.packages, *(["root"] if server.root else [])]
    others = [
        f"{name} (unchecked)" if one.unchecked else name
        for name, one in server.on.items()
        if not one.unsupported
    ]
    lines = [
        server.title,
        f"restarts: {', '.join(server.ways)}",
        f"needs: {' '.join(needs or server.programs) or 'nothing'}",
        f"systems: {', '.join([FIRST_SYSTEM, *others])}",
        *(f"not on {names}: {why}" for why, names in server.not_on.items()),
        *(f"not if {why}" for why in server.needs),
    ]
    return server.name, "\n".join(lines)


def _plain(server: Server) -> object:
    return msgspec.to_builtins(server)
