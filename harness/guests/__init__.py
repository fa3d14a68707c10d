"""Guest files: reads YAML into `Guest`, reports mistakes with file and line, selects by name."""

from harness.guests.entries import load
from harness.guests.selection import select

__all__ = ["load", "select"]
