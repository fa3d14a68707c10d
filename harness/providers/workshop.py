"""What a provider works with: where things are kept, where consoles go, whether guests stay."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from harness.places import Places


class Workshop(Struct, frozen=True):
    """One run's working conditions, the same for all its guests.

    `consoles` gives the file for a guest's console log. With `keep`, a guest outlives its context,
    with a lease that says how to log in again.
    """

    places: Places
    consoles: Callable[[str], Path]
    keep: bool = False
