"""Answers a name that nobody knows with those that look like it."""

import difflib
from collections.abc import Iterable

from harness.errors import UsageError


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown name; its hint has the nearest ones, or all."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    there = f"there are {', '.join(names)}" if names else "there is none"
    hint = f"did you mean {' or '.join(near)}?" if near else there
    return UsageError(f"no {what} is called {name!r}", hint=hint)
