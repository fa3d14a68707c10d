"""Downloads a vendor's disk image once: resume, verify before any use, unpack, cache."""

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
from harness.machine import guarded, seals
from harness.machine.files import recall, remember
from harness.machine.lock import locked
from harness.machine.places import Places
from harness.model import Image
from harness.providers.fetch import checksums, pins
from harness.providers.fetch.history import dated
from harness.providers.fetch.http import PartialDownload, fetch_into, fetch_text
from harness.providers.fetch.unpack import DAMAGES, packing, unpack

logger = logging.getLogger(__name__)

PAGES = (b"<!doctype html", b"<html", b"<?xml")
"""How a page begins that a server sends instead of a file. No image begins like this."""

PAGE_BYTES = 512

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Downloaded(Struct, frozen=True):
    """An image in the cache: `sha256` is that of the downloaded file, still packed.

    `verified` names the source of the checksum that it matched; without one, `vouched` says what
    speaks for it. `path` is the unpacked image that boots, and `unpacked_sha256` its sha256.
    """

    path: str
    url: str
    sha256: str
    verified: str
    unpacked_sha256: str
    vouched: str = ""


def pending(image: Image, places: Places) -> str | None:
    """Return what `fetch` would download, without a network request; None if it is cached."""
    shelf = _Shelf(image, places)
    if shelf.record() is not None:
        return None
    notes = [shelf.part.progress(), "address unchecked" if image.unchecked else None]
    said = ", ".join(note for note in notes if note)
    return f"{image.url} ({said})" if said else image.url


def fetch(image: Image, places: Places, deadline: Deadline) -> Downloaded:
    """Return the image from the cache, and download it first if necessary; raise `ImageError`.

    If several processes ask at once, one downloads and the others wait.
    """
    shelf = _Shelf(image, places)
    found = shelf.record()
    if found is not None:
        return found
    with shelf.locked(deadline):
        found = shelf.record()
        if found is not None:
            return found
        with _told(image.url, shelf), dated(image):
            return _filled(image, shelf, deadline)


class _Shelf:
    """The files of one image in the cache. A different expected checksum is a different image."""

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
        """Return the image if it is cached and verified, else None."""
        found = recall(self._record, Downloaded)
        if found is None or not Path(found.path).is_file():
            return None
        if seals.sha256(Path(found.path), self._places) != found.unpacked_sha256:
            logger.warning("%s is not what was downloaded: it is fetched again", found.path)
            return None
        return found

    def keep(self, found: Downloaded) -> None:
        """Record the image: from now on it counts as cached."""
        remember(self._record, found)

    def pinned(self, sha256: str) -> str:
        """Return what vouches for an image without a checksum: it is the same as at first."""
        url = self._image.url
        try:
            return pins.vouching(url, pins.held(url, sha256, self._places).on)
        except ImageError:
            self.part.discard()
            raise

    @contextmanager
    def locked(self, deadline: Deadline) -> Iterator[None]:
        """Hold this image's download lock; raise `ImageError` if it stays taken."""
        path = self._places.folder("locks") / f"download-{self._key}.lock"
        with locked(path, deadline, self._waits) as ours:
            if not ours:
                raise ImageError("another run has been downloading the image for too long")
            yield

    def _waits(self) -> None:
        logger.info("another run is downloading %s: waiting for it", self._image.url)


@contextmanager
def _told(url: str, shelf: _Shelf) -> Iterator[None]:
    """Translate `OSError`s of the disk; if it is full, delete the partial download."""
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_SPACE:
            shelf.part.discard()
            raise ImageError(
                f"{url}: the disk is full: {shelf.ready.parent}",
                hint="free some space, or set XDG_CACHE_HOME to a folder on another disk",
            ) from exc
        raise ImageError(f"{url}: {exc}") from exc


def _filled(image: Image, shelf: _Shelf, deadline: Deadline) -> Downloaded:
    expected = _expected(image, deadline)
    began = time.monotonic()
    fetch_into(shelf.part, image.url, deadline)
    logger.info("downloaded %s in %.0f s", image.url, time.monotonic() - began)
    _refuse_page(image.url, shelf.part)
    sha256 = _verified(image, expected, shelf.part)
    vouched = "" if expected is not None else shelf.pinned(sha256)
    kind = packing(urlsplit(image.url).path)
    if kind is None:
        shelf.part.path.replace(shelf.ready)
    else:
        _unpacked(kind, shelf, image.url, deadline)
    shelf.part.discard()
    unpacked = sha256 if kind is None else _digest(shelf.ready, "sha256")
    verified = "nothing" if expected is None else expected.source
    found = Downloaded(str(shelf.ready), image.url, sha256, verified, unpacked, vouched)
    shelf.keep(found)
    return found


def _expected(image: Image, deadline: Deadline) -> checksums.Expected | None:
    """Return the expected checksum: the guest file's, else the one in the vendor's list."""
    if image.sha512 is not None:
        return checksums.Expected("sha512", image.sha512.lower(), "sha512 of the guest file")
    if image.sha256 is not None:
        return checksums.Expected("sha256", image.sha256.lower(), "sha256 of the guest file")
    if image.checksums is None:
        logger.warning("%s: not verified: the guest file names no checksum", image.url)
        return None
    name = unquote(urlsplit(image.url).path).lstrip("/")
    return checksums.find(fetch_text(image.checksums, deadline), name, image.checksums)


def _refuse_page(url: str, part: PartialDownload) -> None:
    """Delete a download that is a web page: servers send one where the image was."""
    with guarded.file(part.path) as content:
        start = content.read(PAGE_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(PAGES):
        part.discard()
        raise ImageError(
            f"{url}: a web page instead of an image",
            hint="open the address in a browser: the image was moved, or a proxy answered instead",
        )


def _verified(image: Image, expected: checksums.Expected | None, part: PartialDownload) -> str:
    """Return the download's sha256; if it is not as expected, delete it and raise `ImageError`."""
    if expected is not None:
        found = _digest(part.path, expected.algorithm)
        if found != expected.digest:
            size = part.path.stat().st_size
            part.discard()
            raise ImageError(
                f"{image.url}: {expected.algorithm} is {found} ({size} bytes), not "
                f"{expected.digest} ({expected.source}): deleted",
                hint="try again; if the checksum is still wrong, the vendor has replaced the file: "
                "compare with the vendor's announcement before you change the guest file",
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
            hint="its name is wrong, or it is damaged; a checksum in the guest file shows which",
        ) from exc
    finally:
        scratch.unlink(missing_ok=True)


def _digest(path: Path, algorithm: str) -> str:
    """Return a file's checksum, hexadecimal."""
    with guarded.file(path) as content:
        return hashlib.file_digest(content, algorithm).hexdigest()
