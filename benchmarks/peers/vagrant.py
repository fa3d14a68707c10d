"""Vagrant: `up`, one command by `ssh`, `destroy` of a box with the kernel of linux-6.1.

Needs root, Vagrant and libvirt (`reuseport-matrix doctor --install --with vagrant`). libvirtd runs
in separate namespaces, as in the tests. Both sides emulate the CPU; our side also writes its
reports. Each turn also runs the same box through our provider `vagrant`, cold and warm.
"""

import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from benchmarks.peers.peer import ASKED, Peer, timed
from benchmarks.speed import say

ROOT = Path(__file__).parent.parent.parent


@contextlib.contextmanager
def ready() -> Iterator[Peer]:
    """Start a libvirtd, give Vagrant the box, and yield the peer."""
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
            "XDG_STATE_HOME": str(Path(name, "state")),
            "PYTHONPATH": str(ROOT),
        }
        timed([sys.executable, str(ROOT / "guests" / "box" / "build.py"), "--add"], environment)
        ratios: list[float] = []

        def once() -> float:
            ratios.append(warm_to_cold(prefix, environment))
            return cycle(prefix, environment)

        yield Peer("vagrant up, ssh, destroy", once, "linux-6.1", (), 0.2)
        found = statistics.median(ratios)
        say(f"the box through our provider, warm / cold = {found:.2f} (goal 0.5)")


def cycle(prefix: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the seconds that up, one command and destroy take together."""
    steps = (
        ("up", "--provider", "libvirt", "linux-box"),
        ("ssh", "linux-box", "-c", "true"),
        ("destroy", "-f", "linux-box"),
    )
    return sum(timed([*prefix, "vagrant", *step], environment)[0] for step in steps)


def warm_to_cold(prefix: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the time of a run with a resumed guest divided by one that boots (our provider)."""
    by_provider(prefix, environment)  # so that a guest is parked
    cold, warm = by_provider(prefix, environment, "--cold"), by_provider(prefix, environment)
    say(f"a run of the box through our provider: cold {cold:.1f} s, warm {warm:.1f} s")
    return warm / cold


def by_provider(prefix: Sequence[str], environment: Mapping[str, str], *options: str) -> float:
    """Return the seconds that a run of the box takes, through our provider."""
    with tempfile.TemporaryDirectory() as out:
        words = ("run", "linux-box", "--provider", "vagrant", "--out", f"{out}/run")
        command = [*prefix, sys.executable, "-m", "harness", *words, *ASKED, *options]
        return timed(command, environment)[0]
