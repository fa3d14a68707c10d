"""Which version this is: what the installed package says of itself."""

from importlib import metadata

from harness.machine.places import NAME


def version() -> str:
    """Return the version; a checkout that was not installed has none."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "unknown"
