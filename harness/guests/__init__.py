"""Guest files: from YAML to `Guest`, mistakes with file and line; which guests were meant."""

from harness.guests.entries import load
from harness.guests.selection import select

__all__ = ["load", "select"]
