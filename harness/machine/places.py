"""The folders that last between runs: a cache that may be deleted, and the state of live guests."""

from pathlib import Path

import platformdirs
from msgspec import Struct

NAME = "reuseport-matrix"


class Places(Struct, frozen=True):
    """Two folders of this user; made on first use, and not accessible to other users."""

    cache: Path
    state: Path

    @classmethod
    def of_user(cls) -> "Places":
        """Return the folders according to the platform's conventions (XDG, Apple)."""
        return cls(platformdirs.user_cache_path(NAME), platformdirs.user_state_path(NAME))

    def folder(self, *parts: str) -> Path:
        """Return a folder below the cache; make it with mode 0700 if it does not exist."""
        return private(self.cache.joinpath(*parts))


def private(folder: Path) -> Path:
    """Make a folder and its missing parents, all with mode 0700, as XDG demands.

    `mkdir(parents=True)` would give the parents a mode that depends on the umask.
    """
    for one in reversed([folder, *folder.parents]):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)
    return folder
