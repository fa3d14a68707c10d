"""Vendors' disk images: fetched once, resumed, verified before any use, unpacked, kept."""

import errno
import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine.files import recall, remember
from harness.machine.lock import locked
from harness.machine.places import Places
from harness.model import Image
from harness.providers.fetch import checksums
from harness.providers.fetch.http import PartialDownload, fetch_into, fetch_text
from harness.providers.fetch.unpack import DAMAGES, packing, unpack

logger = logging.getLogger(__name__)

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Downloaded(Struct, frozen=True):
    """An image in the cache: `sha256` is of the file as it came, `verified` what it was held to.

    `path` is what boots, unpacked, and `unpacked_sha256` its sha256.
    """

    path: str
    url: str
    sha256: str
    verified: str
    unpacked_sha256: str


def pending(image: Image, places: Places) -> str | None:
    """Say what `fetch` would have to download, without asking anybody; None if it is here."""
    shelf = _Shelf(image, places)
    if shelf.record() is not None:
        return None
    notes = [shelf.part.progress(), "address unchecked" if image.unchecked else None]
    said = ", ".join(note for note in notes if note)
    return f"{image.url} ({said})" if said else image.url


def fetch(image: Image, places: Places, deadline: Deadline) -> Downloaded:
    """Return the image from the cache, downloaded first if need be; raise `ImageError`.

    However many processes ask at once, one downloads.
    """
    shelf = _Shelf(image, places)
    found = shelf.record()
    if found is not None:
        return found
    with shelf.locked(deadline):
        found = shelf.record()
        if found is not None:
            return found
        with _told(image.url, shelf):
            return _filled(image, shelf, deadline)


class _Shelf:
    """The files of one image in the cache; another expected checksum is another image."""

    def __init__(self, image: Image, places: Places) -> None:
        self._image = image
        identity = [image.url, image.sha256, image.sha512, image.checksums]
        self._key = hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:24]
        self._places = places
        folder = places.folder("downloads")
        self.ready = folder / f"{self._key}.image"
        self._record = folder / f"{self._key}.json"
        self.part = PartialDownload(folder / f"{self._key}.part")

    def record(self) -> Downloaded | None:
        """What is known of the image, if it is here and verified."""
        found = recall(self._record, Downloaded)
        return found if found is not None and Path(found.path).is_file() else None

    def keep(self, found: Downloaded) -> None:
        """Write down what was found: from now on the image is here."""
        remember(self._record, found)

    @contextmanager
    def locked(self, deadline: Deadline) -> Iterator[None]:
        """Hold the only right to fill this shelf."""
        path = self._places.folder("locks") / f"download-{self._key}.lock"
        with locked(path, deadline, self._waits) as ours:
            if not ours:
                raise ImageError("another run downloads the image for too long")
            yield

    def _waits(self) -> None:
        logger.info("another run downloads %s: waiting for it", self._image.url)


@contextmanager
def _told(url: str, shelf: _Shelf) -> Iterator[None]:
    """Translate what the disk has to say; on a full one nothing of ours stays."""
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_SPACE:
            shelf.part.discard()
            raise ImageError(
                f"{url}: the disk is full: {shelf.ready.parent}",
                hint="make room there, or name another cache in the environment (XDG_CACHE_HOME)",
            ) from exc
        raise ImageError(f"{url}: {exc}") from exc


def _filled(image: Image, shelf: _Shelf, deadline: Deadline) -> Downloaded:
    expected = _expected(image, deadline)
    began = time.monotonic()
    fetch_into(shelf.part, image.url, deadline)
    logger.info("downloaded %s in %.0f s", image.url, time.monotonic() - began)
    sha256 = _verified(image, expected, shelf.part)
    kind = packing(urlsplit(image.url).path)
    if kind is None:
        shelf.part.path.replace(shelf.ready)
    else:
        _unpacked(kind, shelf, image.url, deadline)
    shelf.part.discard()
    unpacked = sha256 if kind is None else _digest(shelf.ready, "sha256")
    verified = "nothing" if expected is None else expected.source
    found = Downloaded(str(shelf.ready), image.url, sha256, verified, unpacked)
    shelf.keep(found)
    return found


def _expected(image: Image, deadline: Deadline) -> checksums.Expected | None:
    """Return what the file has to be; the guest file's word goes before the vendor's list."""
    if image.sha512 is not None:
        return checksums.Expected("sha512", image.sha512.lower(), "sha512 of the guest file")
    if image.sha256 is not None:
        return checksums.Expected("sha256", image.sha256.lower(), "sha256 of the guest file")
    if image.checksums is None:
        logger.warning("%s: no checksum is known: the download is not verified", image.url)
        return None
    name = unquote(urlsplit(image.url).path).lstrip("/")
    return checksums.find(fetch_text(image.checksums, deadline), name, image.checksums)


def _verified(image: Image, expected: checksums.Expected | None, part: PartialDownload) -> str:
    """Return the sha256 of what came; delete it if it is not what was expected."""
    if expected is not None:
        found = _digest(part.path, expected.algorithm)
        if found != expected.digest:
            size = part.path.stat().st_size
            part.discard()
            raise ImageError(
                f"{image.url}: {expected.algorithm} is {found} ({size} bytes), not "
                f"{expected.digest} ({expected.source}): deleted",
                hint="try again; if it stays so, the vendor has put another file there: compare "
                "with the vendor's announcement before you change the guest file",
            )
    return _digest(part.path, "sha256")


def _unpacked(kind: str, shelf: _Shelf, url: str, deadline: Deadline) -> None:
    scratch = shelf.ready.with_suffix(".unpacking")
    try:
        unpack(shelf.part.path, kind, scratch, deadline)
        scratch.replace(shelf.ready)
    except DAMAGES as exc:
        shelf.part.discard()
        raise ImageError(
            f"{url}: cannot be unpacked as .{kind}: {exc or 'cut off'}",
            hint="its name does not say what it is, or it came damaged: a checksum would tell",
        ) from exc
    finally:
        scratch.unlink(missing_ok=True)


def _digest(path: Path, algorithm: str) -> str:
    """Return a file's checksum, hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()
