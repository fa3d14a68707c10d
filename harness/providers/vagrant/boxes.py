"""Finds the installed boxes in Vagrant's folder; asking Vagrant itself takes seconds."""

import os
from pathlib import Path

from harness.model import Box

SLASH = "-VAGRANTSLASH-"
"""Replaces `/` in a box's folder (lib/vagrant/box_collection.rb) and in its image's name."""


def home() -> Path:
    """Return Vagrant's folder."""
    return Path(os.environ.get("VAGRANT_HOME") or "~/.vagrant.d").expanduser()


def version_here(box: Box, provider: str) -> str | None:
    """Return the newest installed version of a box that matches its guest file, or None."""
    folder = home() / "boxes" / box.box.replace("/", SLASH)
    # VERSION/PROVIDER, from Vagrant 2.4 on also VERSION/ARCHITECTURE/PROVIDER.
    places = [*folder.glob(f"*/{provider}"), *folder.glob(f"*/*/{provider}")]
    versions = {place.relative_to(folder).parts[0] for place in places}
    fitting = [version for version in versions if box.version in (None, version)]
    return max(fitting, key=_order, default=None)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))
