"""Trust on first use: an address without a checksum must give later what it gave first."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from harness.errors import ImageError
from harness.machine.files import recall, remember
from harness.machine.places import Places, private


class Pin(Struct, frozen=True):
    """What an address gave when it was first used, and the day of that (UTC, ISO 8601)."""

    url: str
    sha256: str
    on: str


def held(url: str, sha256: str, places: Places) -> Pin:
    """Return the pin of an address, which is made if there is none.

    Pins are kept in the user's state: they outlast the cache. Raise `ImageError` if the address
    gave something else before.
    """
    path = _file(url, places)
    pin = recall(path, Pin)
    if pin is None:
        pin = Pin(url, sha256, f"{datetime.now(UTC):%Y-%m-%d}")
        remember(path, pin)
    if pin.sha256 != sha256:
        raise ImageError(
            f"{url}: its sha256 is {sha256}, but it was {pin.sha256} when it was first used on "
            f"{pin.on}: refused",
            hint="no checksum is published, so nothing says which one is right. If the publisher "
            f"has replaced it, delete {path} to trust the new one",
        )
    return pin


def vouching(url: str, on: str) -> str:
    """Return what vouches for a file without a checksum that was first used on a day."""
    first = f"its first download, on {on}"
    return f"TLS and {first}" if url.startswith("https:") else first


def _file(url: str, places: Places) -> Path:
    name = hashlib.sha256(url.encode()).hexdigest()[:24]
    return private(places.state / "pins") / f"{name}.json"
