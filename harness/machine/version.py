"""The version of this program, from the metadata of the installed package."""

from importlib import metadata

from harness.machine.places import NAME


def version() -> str:
    """Return the version, or `unknown` for a checkout that was not installed."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "unknown"
