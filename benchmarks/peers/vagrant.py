"""Vagrant: `up`, one command by `ssh`, `destroy` of a box with the kernel of linux-6.1.

Needs root, Vagrant and libvirt (`reuseport-matrix doctor --install --with vagrant`): libvirtd runs
in namespaces of its own, as in the tests. Both sides emulate; ours also writes its reports.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from benchmarks.peers.peer import Peer, timed

ROOT = Path(__file__).parent.parent.parent


@contextlib.contextmanager
def ready() -> Iterator[Peer]:
    """Have a libvirtd, and a Vagrant that has the box."""
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
        once = partial(cycle, prefix, environment)
        yield Peer("vagrant up, ssh, destroy", once, "linux-6.1", (), 0.2)


def cycle(prefix: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return what up, one command and destroy take together."""
    steps = (
        ("up", "--provider", "libvirt", "linux-box"),
        ("ssh", "linux-box", "-c", "true"),
        ("destroy", "-f", "linux-box"),
    )
    return sum(timed([*prefix, "vagrant", *step], environment)[0] for step in steps)
