"""`guests`: lists the guests, the provider that would start each here, or why none can."""

import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import click
from msgspec import to_builtins

from harness.cli.options import cluster_options, guest_folders
from harness.cli.table import write_json, write_table
from harness.errors import NotRunError
from harness.guests.addresses import Address, addresses
from harness.machine.places import Places
from harness.model import Guest
from harness.model.box import CATALOGUE_ENDS
from harness.providers import best, offers
from harness.providers.workshop import Workshop
from harness.run.names import known_guests
from harness.run.progress import speaking

EPILOG = """\b
Examples:
  reuseport-matrix guests
  reuseport-matrix guests --guests DIR --json
  reuseport-matrix guests --cluster tls://lab:8786     which machine would start each guest
"""


HOST = "host"
"""The system of the guest that is this machine itself."""

ADDRESS = re.compile(r"https?://(?P<host>[^/\s]+)/(?:\S*/)?(?P<file>[^/\s]+)")
"""An address of a file."""

WIDTH = 100
"""Columns of a sentence."""

SHARED = 3
"""A reason that this many guests have is said once."""


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
    addresses: Sequence[Address] = ()


@click.command(epilog=EPILOG)
@guest_folders()
@cluster_options()
@click.option("--json", "as_json", is_flag=True, help="A list of name, system, provider, why, ….")
def guests(
    folders: Sequence[Path], cluster: str | None, *, cluster_without_tls: bool, as_json: bool
) -> None:
    """List the guests, and which provider would start each here, or why none can.

    Starts and downloads nothing. `run` starts a guest marked `downloads` only if you name it or
    say `all`; `available` leaves it out. With --cluster, each machine of a cluster is asked.
    """
    if cluster is not None:
        from harness.cli.cluster_guests import list_over

        known = tuple(known_guests(folders).values())
        list_over(cluster, known, without_tls=cluster_without_tls, as_json=as_json)
        return
    with speaking():
        entries = listed(known_guests(folders).values(), Places.of_user())
    if as_json:
        write_json([_plain(one) for one in entries])
        return
    write_guests(entries)


def listed(guests: Iterable[Guest], places: Places) -> list[Listed]:
    """Ask every provider of each guest whether it could start it here."""
    workshop = Workshop(places, lambda _: Path("console.log"))
    return [_entry(guest, workshop) for guest in guests]


def _entry(guest: Guest, workshop: Workshop) -> Listed:
    found = offers(guest, workshop)
    others = {one.name: one.refusal for one in found}
    try:
        chosen = best(guest, found)
    except NotRunError as exc:
        return Listed(guest.name, guest.system, None, str(exc), None, others, addresses(guest))
    del others[chosen.name]
    return Listed(
        guest.name, guest.system, chosen.name, None, chosen.download, others, addresses(guest)
    )


def _plain(one: Listed) -> dict[str, object]:
    places = [{**place._asdict(), "checked": to_builtins(place.checked)} for place in one.addresses]
    return {**one._asdict(), "addresses": places}


def write_guests(entries: Sequence[Listed]) -> None:
    """Write what can start first, then what downloads first, then what cannot start and why.

    A reason that several guests share is said once, above the guests that it is about.
    """
    ready = [one for one in entries if one.provider is not None and one.download is None]
    loading = [one for one in entries if one.download is not None]
    refused = [one for one in entries if one.provider is None]
    counts = Counter(reason for one in refused for reason in dict.fromkeys(_reasons(one)))
    common = [reason for reason, count in counts.items() if count >= SHARED]
    _write_group("can start here", [(*_known(one), _also(one)) for one in ready])
    _write_group(
        "must download first; `run` does so if you name the guest, or say `all`", _loads(loading)
    )
    _write_group("cannot start here", [_refused(one, common) for one in refused], common)
    ending = [one.name for one in entries if any(place.ends for place in one.addresses)]
    if ending:
        text = f"HashiCorp's catalogue ends on {CATALOGUE_ENDS}, and with it the boxes of: "
        click.echo(fill(text + ", ".join(ending), width=WIDTH, break_on_hyphens=False))


def _write_group(heading: str, rows: Sequence[Sequence[str]], reasons: Sequence[str] = ()) -> None:
    """Write a heading, numbered reasons, and a table; nothing if there is no row."""
    if not rows:
        return
    click.echo(heading)
    if reasons:
        write_table([(f"  [{number}]", reason) for number, reason in enumerate(reasons, 1)])
    write_table([(f"  {name}", *others) for name, *others in rows])
    click.echo()


def _known(one: Listed) -> tuple[str, str, str]:
    return one.name, system_of(one), one.provider or "-"


def system_of(one: Listed) -> str:
    """Return a guest's system; that of `host` is this machine's own, with its release."""
    if one.system != HOST:
        return one.system
    name = platform.system()
    return f"{'macOS' if name == 'Darwin' else name} {platform.release()}"


def _also(one: Listed) -> str:
    able = [name for name, refusal in one.others.items() if refusal is None]
    return f"or {', '.join(able)}" if able else ""


def _loads(found: Sequence[Listed]) -> list[tuple[str, ...]]:
    """Return a row for each guest with the file that it needs; `--json` has the whole address."""
    return [
        (*_known(one), "\n".join(filter(None, (_file(one.download or ""), _also(one)))))
        for one in found
    ]


def _file(download: str) -> str:
    """Return what would be downloaded with `FILE from HOST` instead of an address."""
    return ADDRESS.sub(lambda match: f"{match['file']} from {match['host']}", download)


def _refused(one: Listed, common: Sequence[str]) -> tuple[str, ...]:
    """Return the row of a guest that cannot start; a common reason is only its number."""
    reasons = _reasons(one)
    marks = [f"[{number}]" for number, reason in enumerate(common, 1) if reason in reasons]
    own = [reason for reason in reasons if reason not in common]
    return (*_known(one), "\n".join(filter(None, (" ".join(marks), *own))))


def _reasons(one: Listed) -> list[str]:
    """Return why each provider of a guest refuses, without the hypervisors that come second."""
    texts = {refusal for refusal in one.others.values() if refusal is not None}
    if len(texts) == 1 and len(one.others) > 1:
        return [*texts]
    return [
        f"{name}: {refusal.partition('; nor by ')[0].removeprefix(f'{name}: ')}"
        for name, refusal in one.others.items()
        if refusal is not None
    ] or [one.why or ""]
