"""Finds the files for guests: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).parent.parent

PACKAGED = PACKAGE / "_guests"


def guests_folder() -> Path:
    """Return the folder with the guest files, `agent/` and `setup/`."""
    return PACKAGED if PACKAGED.is_dir() else PACKAGE.parent / "guests"


def servers_folder() -> Path:
    """Return the folder with the server files."""
    return guests_folder() / "servers"


def vagrant_folder() -> Path:
    """Return the folder with the Vagrantfile."""
    return PACKAGED if PACKAGED.is_dir() else PACKAGE.parent
