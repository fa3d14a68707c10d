"""Names of machines: Dask's own where the user gave one, else the host's."""

import re
from collections.abc import Sequence

LONGEST = 40
"""The most characters of a machine's name: it becomes a part of a folder's name."""

UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def machine_name(given: object, address: str, host: str) -> str:
    """Return the name of a worker that Dask calls `given`; without `--name` that is its address."""
    chosen = given if isinstance(given, str) and given != address else host
    name = UNFIT.sub("-", chosen).strip("-._")[:LONGEST]
    return name or "machine"


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, each once: what comes again gets a number."""
    found: list[str] = []
    for name in names:
        free = (f"{name}-{number}" if number > 1 else name for number in range(1, len(names) + 2))
        found.append(next(one for one in free if one not in found))
    return tuple(found)
