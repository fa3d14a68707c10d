"""Suggests similar names for an unknown name."""

import difflib
from collections.abc import Iterable

from harness.errors import UsageError


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown name; its hint lists the nearest names, or all names."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    there = f"choose from: {', '.join(names)}" if names else f"there is no {what}"
    hint = f"did you mean {' or '.join(near)}?" if near else there
    return UsageError(f"no {what} is called {name!r}", hint=hint)
