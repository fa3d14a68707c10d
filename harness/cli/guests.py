"""`guests`: lists the guests, the provider that would start each here, or why none can."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from harness.cli.options import guest_folders
from harness.cli.table import write_json, write_table
from harness.errors import NotRunError
from harness.machine.places import Places
from harness.model import Guest
from harness.providers import best, offers
from harness.providers.workshop import Workshop
from harness.run.names import known_guests
from harness.run.progress import speaking

EPILOG = """\b
Examples:
  reuseport-matrix guests
  reuseport-matrix guests --guests DIR --json
"""


class Listed(NamedTuple):
    """A guest as `guests` lists it: the provider that would start it, or why none can.

    `download` is what that provider would fetch first. `others` maps every other provider of the
    guest to the reason why it cannot start it, or to None if it can.
    """

    name: str
    system: str
    provider: str | None
    why: str | None
    download: str | None
    others: Mapping[str, str | None]

    @property
    def notes(self) -> str:
        """The last column of the table, one note per line."""
        lines = [] if self.download is None else [f"downloads {self.download}"]
        refusals = set(self.others.values())
        if self.provider is None and len(refusals) == 1:
            return str(refusals.pop())
        for other, refusal in self.others.items():
            lines.append(f"or {other}" if refusal is None else f"not {other}: {refusal}")
        return "\n".join(lines) or self.why or ""


@click.command(epilog=EPILOG)
@guest_folders()
@click.option("--json", "as_json", is_flag=True, help="A list of name, system, provider, why, ….")
def guests(folders: Sequence[Path], as_json: bool) -> None:
    """List the guests, and which provider would start each here, or why none can.

    Starts and downloads nothing. `run` starts a guest marked `downloads` only if you name it or
    say `all`; `available` leaves it out.
    """
    workshop = Workshop(Places.of_user(), lambda _: Path("console.log"))
    with speaking():
        entries = [_entry(guest, workshop) for guest in known_guests(folders).values()]
    if as_json:
        write_json([one._asdict() for one in entries])
        return
    rows = [(one.name, one.system, one.provider or "-", one.notes) for one in entries]
    write_table([("guest", "system", "provider", "notes"), *rows])


def _entry(guest: Guest, workshop: Workshop) -> Listed:
    found = offers(guest, workshop)
    others = {one.name: one.refusal for one in found}
    try:
        chosen = best(guest, found)
    except NotRunError as exc:
        return Listed(guest.name, guest.system, None, str(exc), None, others)
    del others[chosen.name]
    return Listed(guest.name, guest.system, chosen.name, None, chosen.download, others)
