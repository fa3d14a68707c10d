"""`guests --cluster`: which machine of a cluster would start each guest, and how."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from harness.cli.cluster import cluster_at
from harness.cli.table import write_json, write_table
from harness.errors import NotRunError
from harness.machine.places import Places
from harness.model import Guest
from harness.providers.workshop import Workshop

if TYPE_CHECKING:
    from harness.run.machines import Machine


class ListedStart(NamedTuple):
    """How a machine would start a guest: the provider and its download, or why it cannot."""

    machine: str
    provider: str | None
    download: str | None
    why: str | None


def list_over(address: str, guests: Sequence[Guest], *, without_tls: bool, as_json: bool) -> None:
    """Ask every machine of a cluster about every guest, and write what they say."""
    workshop = Workshop(Places.of_user(), lambda _: Path("console.log"))
    with cluster_at(address, without_tls=without_tls) as cluster:
        machines = cluster.machines(workshop, None, guests)
        found = [(guest, [_start(one, guest) for one in machines]) for guest in guests]
    if as_json:
        write_json([_plain(guest, starts) for guest, starts in found])
        return
    click.echo(f"machines: {', '.join(one.name for one in machines)}\n")
    write_table([(guest.name, guest.system, _shown(starts)) for guest, starts in found])


def _start(machine: "Machine", guest: Guest) -> ListedStart:
    try:
        offer = machine.best(guest)
    except NotRunError as exc:
        return ListedStart(machine.name, None, None, str(exc))
    return ListedStart(machine.name, offer.name, offer.download, None)


def _plain(guest: Guest, starts: Iterable[ListedStart]) -> dict[str, object]:
    return {
        "name": guest.name,
        "system": guest.system,
        "machines": [one._asdict() for one in starts],
    }


def _shown(starts: Sequence[ListedStart]) -> str:
    """Return a line for each machine that can start the guest; else the reasons, each once."""
    able = [one for one in starts if one.provider is not None]
    if not able:
        return "\n".join(dict.fromkeys(f"cannot start: {one.why}" for one in starts))
    return "\n".join(
        f"{one.machine}: {one.provider}{', downloads first' if one.download else ''}"
        for one in able
    )
