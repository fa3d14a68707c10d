"""Our run against `vagrant up`, `ssh` and `destroy` of a box with the same kernel, in one sitting.

    python -m benchmarks.peers [--repeat N]

Needs root, Vagrant and libvirt (`reuseport-matrix doctor --install --with vagrant`): libvirtd runs
in namespaces of its own, as in the tests. Both sides emulate; ours boots linux-6.1, asks `sharing`
and writes its reports.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks.speed import by_harness, say

ROOT = Path(__file__).parent.parent

ASKED = ("--scenario", "sharing", "--quick")


def timed(argv: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the wall time of a command that has to succeed."""
    began = time.monotonic()
    done = subprocess.run(argv, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise click.ClickException((done.stderr + done.stdout).decode(errors="replace"))
    return time.monotonic() - began


def cycle(prefix: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return what up, one command and destroy take together."""
    steps = (
        ("up", "--provider", "libvirt", "linux-box"),
        ("ssh", "linux-box", "-c", "true"),
        ("destroy", "-f", "linux-box"),
    )
    return sum(timed([*prefix, "vagrant", *step], environment) for step in steps)


@click.command()
@click.option("--repeat", default=3, show_default=True)
def main(repeat: int) -> None:
    """Compare with Vagrant."""
    sys.path.insert(0, str(ROOT / "tests" / "vm"))
    import libvirt_namespace

    reason = libvirt_namespace.refusal()
    if reason is not None:
        raise click.ClickException(reason)
    with (
        tempfile.TemporaryDirectory() as name,
        libvirt_namespace.running(Path(name)) as prefix,
    ):
        home = Path(name, "vagrant")
        environment = {
            **os.environ,
            "VAGRANT_HOME": str(home),
            "VAGRANT_CWD": str(ROOT),
            "VAGRANT_DOTFILE_PATH": str(Path(name, "dotfiles")),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "REUSEPORT_MATRIX_ACCELERATOR": "tcg",
        }
        timed([sys.executable, str(ROOT / "guests" / "box" / "build.py"), "--add"], environment)
        cycle(prefix, environment)  # the box's image goes into libvirt's pool
        by_harness(["linux-6.1"], *ASKED)
        ratios: dict[str, list[float]] = {"cold": [], "warm": []}
        for _ in range(repeat):
            theirs = cycle(prefix, environment)
            cold, warm = (
                by_harness(["linux-6.1"], *ASKED, "--cold"),
                by_harness(["linux-6.1"], *ASKED),
            )
            ratios["cold"].append(cold / theirs)
            ratios["warm"].append(warm / theirs)
            say(
                f"vagrant up, ssh, destroy {theirs:.1f} s; "
                f"a run cold {cold:.2f} s, warm {warm:.2f} s"
            )
    for start, found in ratios.items():
        say(f"{start} run / vagrant = {statistics.median(found):.2f} (goal 0.2)")


if __name__ == "__main__":
    main()
