"""Fetches images from the test's web server, and checks what is left in the cache."""

import hashlib
import random

import pytest
from web_server import Site

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine.places import Places
from harness.model import Image
from harness.providers.fetch.download import Downloaded, fetch, pending

DISK = random.Random(1).randbytes(300_000) + bytes(200_000) + b"the end"


def image(site: Site, name: str = "disk.img", sha256: str | None = None) -> Image:
    expected = sha256 or hashlib.sha256(site.files.get(name, b"")).hexdigest()
    return Image(site.address(name), sha256=expected)


def get(wanted: Image, places: Places, seconds: float = 20.0) -> Downloaded:
    return fetch(wanted, places, Deadline(seconds))


def refused(wanted: Image, places: Places, seconds: float = 20.0) -> ImageError:
    """Return the error of fetching an image; check that nothing bootable is left."""
    with pytest.raises(ImageError) as caught:
        get(wanted, places, seconds)
    assert pending(wanted, places) is not None
    assert not [*places.folder("downloads").glob("*.image")]
    assert caught.value.hint is not None
    return caught.value


def left(places: Places) -> list[str]:
    return sorted(path.suffix for path in places.folder("downloads").iterdir())
