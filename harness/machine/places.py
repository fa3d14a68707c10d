"""The folders that last between runs: a cache that may be deleted, and the state of live guests."""

import os
from pathlib import Path

import platformdirs
from msgspec import Struct

from harness.errors import UsageError

NAME = "reuseport-matrix"


class Places(Struct, frozen=True):
    """Two folders of this user; made on first use, and not accessible to other users."""

    cache: Path
    state: Path

    @classmethod
    def of_user(cls) -> "Places":
        """Return the folders according to the platform's conventions (XDG, Apple).

        Raise `UsageError` for a user without a home: no HOME, and no entry in passwd(5), as in many
        containers.
        """
        try:
            found = cls(platformdirs.user_cache_path(NAME), platformdirs.user_state_path(NAME))
        except RuntimeError as exc:
            raise _homeless() from exc
        if not (found.cache.is_absolute() and found.state.is_absolute()):  # older platformdirs
            raise _homeless()
        return found

    def folder(self, *parts: str) -> Path:
        """Return a folder below the cache; make it with mode 0700 if it does not exist."""
        return private(self.cache.joinpath(*parts))


def _homeless() -> UsageError:
    return UsageError(
        f"there is no folder for the files of this program: HOME is not set, and uid {os.getuid()} "
        "has no account here",
        hint="set HOME to a folder that you may write to, or both XDG_CACHE_HOME and "
        "XDG_STATE_HOME (`export HOME=$(mktemp -d)`)",
    )


def private(folder: Path) -> Path:
    """Make a folder and its missing parents, all with mode 0700, as XDG demands.

    `mkdir(parents=True)` would give the parents a mode that depends on the umask.
    """
    for one in reversed([folder, *folder.parents]):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)
    return folder
