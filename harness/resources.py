"""Where the files for guests lie: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path


def guests_folder() -> Path:
    """Return the folder with the guest files, `agent/` and `setup/`."""
    package = Path(__file__).parent
    packaged = package / "_guests"
    return packaged if packaged.is_dir() else package.parent / "guests"
