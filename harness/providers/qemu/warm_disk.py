"""The files that are saved with a guest from a disk: disk, seed, key, host key."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from harness.errors import BootError
from harness.providers.qemu.images import Images
from harness.transport.keys import parse_key, read_key

HOST_KEY = "host_key"
"""The file with the guest's host key. Line 1 is the key as in known_hosts, type and base64; line 2
is where the key came from, for the guest's provenance."""


def keep(made: Images, boot: Path, host_key: str, whose: str, into: Path) -> None:
    """Copy what was made for one boot from its folder `boot`; its disk must be written back."""
    (into / HOST_KEY).write_text(f"{host_key}\n{whose}\n", "utf-8")
    for path in _own(made, boot).values():
        shutil.copy(path, into / path.name)


def bring_back(made: Images, boot: Path, kept: Path) -> Images:
    """Return the images of a resumed guest, with copies of the saved files; raise `BootError`.

    The files that were made for this boot stay, in case resuming fails and the guest must boot.
    """
    into = Path(tempfile.mkdtemp(prefix="kept-", dir=boot))
    found: dict[str, Path] = {}
    # Copies, because the guest writes to its disk, and the state must stay as it was saved.
    for name, path in _own(made, boot).items():
        found[name] = into / path.name
        shutil.copy(kept / path.name, found[name])
    try:
        known, whose = (kept / HOST_KEY).read_text("utf-8").splitlines()
        host_key = parse_key(known)
    except ValueError as exc:
        raise BootError(f"its host key is damaged: {exc}") from exc
    private = found.get("private", Path(made.private))
    return replace(
        made,
        disk=found.get("disk", made.disk),
        seed=found.get("seed", made.seed),
        private=str(private),
        key=read_key(private),
        published=None,  # it was replaced before the guest was saved
        host_key=host_key,
        provenance={**made.provenance, "host_key": whose},
    )


def _own(made: Images, boot: Path) -> Mapping[str, Path]:
    """Return the images that were made for one boot, by name; a user's key is not included."""
    paths = {"disk": made.disk, "seed": made.seed, "private": Path(made.private)}
    return {
        name: path for name, path in paths.items() if path is not None and path.is_relative_to(boot)
    }
