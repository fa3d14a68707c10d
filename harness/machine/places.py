"""Where things are kept between runs: a cache that may be deleted, a state that says what lives."""

from pathlib import Path

import platformdirs
from msgspec import Struct

NAME = "reuseport-matrix"


class Places(Struct, frozen=True):
    """Two folders of this user's, made on first use, closed to others."""

    cache: Path
    state: Path

    @classmethod
    def of_user(cls) -> "Places":
        """Return the folders that the platform's conventions (XDG, Apple) name."""
        return cls(platformdirs.user_cache_path(NAME), platformdirs.user_state_path(NAME))

    def folder(self, *parts: str) -> Path:
        """Return a folder below the cache, made if need be with mode 0700."""
        return private(self.cache.joinpath(*parts))


def private(folder: Path) -> Path:
    """Make a folder that is closed to others, as all above it that had to be made (XDG says so).

    `mkdir(parents=True)` leaves those to the umask.
    """
    for one in reversed([folder, *folder.parents]):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)
    return folder
