"""Downloads the private key that a publisher puts beside its image, for the first login."""

import hashlib
from pathlib import Path

from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.machine import guarded
from harness.machine.files import write_whole
from harness.machine.places import Places
from harness.model import Image
from harness.providers.fetch import pins
from harness.providers.fetch.history import dated
from harness.providers.fetch.http import fetch_text
from harness.transport.keys import read_key

SIZE_LIMIT = 32 << 10
"""The most bytes of a private key; an RSA key of 16384 bits has 13 KiB."""


class PublishedKey(Struct, frozen=True):
    """A private key that everyone can read, and what vouches for it and its image."""

    path: Path
    sha256: str
    vouched: str


def fetch(image: Image, places: Places, deadline: Deadline) -> PublishedKey:
    """Return the key of an image from the cache, or download it first; raise `ImageError`.

    Its file has mode 0600. The key must stay what it was at its first use.
    """
    assert image.key is not None
    name = hashlib.sha256(image.key.encode()).hexdigest()[:24]
    path = places.folder("downloads") / f"{name}.key"
    if not path.is_file():
        with dated(image):
            _download(image.key, path, deadline)
    sha256 = hashlib.sha256(guarded.read(path, SIZE_LIMIT)).hexdigest()
    pin = pins.held(image.key, sha256, places)
    return PublishedKey(path, sha256, pins.vouching(image.key, pin.on))


def _download(url: str, path: Path, deadline: Deadline) -> None:
    """Write a key to a file of mode 0600, if it is one."""
    write_whole(path, fetch_text(url, deadline, "a private key", SIZE_LIMIT).encode())
    try:
        read_key(path)
    except NotRunError as exc:
        path.unlink(missing_ok=True)
        hint = "open the address in a browser: the key was moved, or a proxy answered instead"
        raise ImageError(f"{url}: not a private key", hint=hint) from exc
