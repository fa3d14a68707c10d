"""`doctor`: tests what this machine has for starting guests, and shows what is missing."""

from collections.abc import Sequence

import click

from harness.cli.exit import ExitStatus, complain
from harness.cli.guests import HOST, listed, system_of
from harness.cli.table import write_json, write_table
from harness.machine.places import Places
from harness.providers.diagnosis import Diagnosis, examine, install
from harness.run.names import known_guests
from harness.run.progress import speaking

EPILOG = """\b
Examples:
  reuseport-matrix doctor
  reuseport-matrix doctor --install    uses this system's package manager
  reuseport-matrix doctor --install --with vagrant
"""


@click.command(epilog=EPILOG)
@click.option("--install", "do_install", is_flag=True, help="Install what is missing.")
@click.option(
    "--with",
    "extras",
    multiple=True,
    type=click.Choice(["vagrant", "tests"]),
    help="Also check for Vagrant and libvirt, or for what the live tests need.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
def doctor(do_install: bool, extras: Sequence[str], as_json: bool) -> int:
    """Test this machine's hypervisor and accelerators, and show what is missing.

    With --install, the system's package manager installs what is missing; each command is shown
    before it runs. If you lack the rights, the command is only shown. The exit status is then
    still 0, because guests that need no installation can be measured.
    """
    places = Places.of_user()
    with speaking(verbose=True):
        diagnosis = examine(places, extras)
        if do_install and diagnosis.command:
            outcome = install(diagnosis)
            if outcome.why is not None:
                complain(f"not everything was installed: {outcome.why}")
            diagnosis = examine(places, extras)
    if as_json:
        write_json(diagnosis)
    else:
        _diagnosis(diagnosis, places)
    return ExitStatus.OK


def _diagnosis(diagnosis: Diagnosis, places: Places) -> None:
    click.echo(f"{diagnosis.system}, Python {diagnosis.python}")
    write_table(
        [
            (tool.name, tool.version or tool.path or "missing", tool.purpose)
            for tool in diagnosis.tools
        ]
    )
    tried = [(trial.accelerator, trial.why or "works") for trial in diagnosis.accelerators]
    if tried:
        click.echo("accelerators, each tested with a short boot:")
        write_table(tried)
    _measurable(places)
    _measurable(places)
    if diagnosis.command:
        complain(
            "something is missing", hint=f"`doctor --install`, or: {' '.join(diagnosis.command)}"
        )


def _measurable(places: Places) -> None:
    """Write which guests can be measured now, and which after a download."""
    with speaking():
        entries = listed(known_guests(()).values(), places)
    now = [one for one in entries if one.provider is not None and one.download is None]
    names = ", ".join(
        f"{one.name} ({system_of(one)})" if one.system == HOST else one.name for one in now
    )
    later = [one.name for one in entries if one.download is not None]
    click.echo(f"can be measured now: {names or 'nothing'}")
    if later:
        click.echo(f"after a download: {', '.join(later)}")
    click.echo("`reuseport-matrix guests` says why the others cannot; `run` measures")
