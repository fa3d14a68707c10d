"""Downloads over HTTP: resumed where the server allows it, bounded where it falls silent."""

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
import urllib3
from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine.files import recall, remember

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)  # minutes of silence look like a hang: said without --verbose, too

CHUNK = 1 << 16
REACH_SECONDS = 20.0
"""For a server to take a connection: one try of several, all within the caller's deadline."""

SILENCE_SECONDS = 20.0
"""Without a byte, after which a connection is given up, and begun again from where it was."""

ATTEMPTS = 4
"""In a row without a byte more than before."""

PAUSE = 0.5
"""Seconds before the next try, doubled after each that brought nothing."""

NEWS_SECONDS = 10.0
"""Between two lines that say how far it is."""

TEXT_LIMIT = 4 << 20

PLAIN = {"Accept-Encoding": "identity", "User-Agent": "reuseport-matrix"}
"""Bytes as they are on the server's disk: a checksum is of those."""

CONNECTION = re.compile(r"^\w+\([^)]*\): ")
"""How urllib3 begins a sentence: with the connection as an object."""

PROBLEMS = (requests.RequestException, urllib3.exceptions.HTTPError)

HINT = "check the address and this machine's way out (a proxy is taken from the environment)"

CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class _Origin(Struct, frozen=True):
    """What a partial download is part of; `validator` is an ETag or date (RFC 9110, 13.1.5)."""

    url: str
    validator: str | None
    size: int | None


class PartialDownload:
    """A download that is not complete, and what it is part of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes = path.with_suffix(".part.json")

    @property
    def origin(self) -> _Origin | None:
        """Where it comes from, if that is known."""
        return recall(self._notes, _Origin)

    @property
    def have(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, origin: _Origin) -> None:
        """Write down what is downloaded from here on."""
        remember(self._notes, origin)

    def progress(self) -> str | None:
        """Say how much is here, None if nothing is."""
        origin = self.origin
        if origin is None or origin.size is None:
            return None
        return f"{self.have >> 20} of {origin.size >> 20} MiB are here"

    def discard(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)


def fetch_into(part: PartialDownload, url: str, deadline: Deadline) -> None:
    """Complete a download; raise `ImageError`, and leave what came for the next time.

    Only whole answers count: a connection that ends early is gone on with.
    """
    silent, problem = 0, "nothing came"
    while silent < ATTEMPTS:
        had = part.have
        try:
            if _attempt(part, url, deadline):
                return
            problem = "the connection ended early"
        except PROBLEMS as exc:
            problem = _sentence(exc)
        if deadline.passed:
            raise ImageError(f"{url}: interrupted, or not done in time: {problem}", hint=HINT)
        silent = 0 if part.have > had else silent + 1
        logger.info("%s: %s: trying again", url, problem)
        time.sleep(min(PAUSE * 2**silent, deadline.left()))
    raise ImageError(f"{url}: {problem}", hint=HINT)


def fetch_text(url: str, deadline: Deadline) -> str:
    """Return a small text; raise `ImageError`."""
    text = bytearray()
    try:
        with _asked(url, {}) as (response, raw):
            _check_status(response, url)
            while piece := raw.read1(CHUNK):
                text += piece
                if len(text) > TEXT_LIMIT or deadline.passed:
                    raise ImageError(f"{url}: too large for a list, or too slow")
    except PROBLEMS as exc:
        raise ImageError(f"{url}: {_sentence(exc)}", hint=HINT) from exc
    return text.decode(errors="replace")


@contextmanager
def _asked(
    url: str, headers: Mapping[str, str]
) -> Iterator[tuple[requests.Response, urllib3.HTTPResponse]]:
    """Ask, and yield the answer before its content has come, with the raw stream of that."""
    timeout = (REACH_SECONDS, SILENCE_SECONDS)
    with (
        requests.Session() as session,
        session.get(url, headers={**PLAIN, **headers}, stream=True, timeout=timeout) as response,
    ):
        raw: urllib3.HTTPResponse = response.raw
        yield response, raw


def _attempt(part: PartialDownload, url: str, deadline: Deadline) -> bool:
    """Download from where the part ends; whether it is whole now."""
    origin, have = part.origin, part.have
    headers = {}
    if have and origin is not None and origin.validator is not None and origin.url == url:
        if origin.size == have:
            return True
        headers = {"Range": f"bytes={have}-", "If-Range": origin.validator}
    with _asked(url, headers) as (response, raw):
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.discard()
            return False
        _check_status(response, url)
        start, size = _extent(response, have)
        if size is not None:
            _check_room(size - start, part, url)
        part.begin(_Origin(url, _validator(response), size))
        with part.path.open("ab" if start else "wb") as file:
            for piece in _told(_pieces(raw, deadline), url, start, size):
                file.write(piece)
    # Without a length a connection's orderly end is all there is (RFC 9112, 6.3).
    return size is None or part.have == size


def _extent(response: requests.Response, have: int) -> tuple[int, int | None]:
    """Return where the answer's content begins, and how long the whole is, if that is said."""
    if response.status_code == requests.codes.partial_content:
        said = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if said is not None and int(said[1]) == have:
            return have, int(said[2])
        raise requests.RequestException("the server sent another part than was asked for")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(response: requests.Response) -> str | None:
    """Return what shows that the file is still the same; weak tags do not show it."""
    tag = response.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")


def _check_status(response: requests.Response, url: str) -> None:
    """Raise `ImageError` for what is final, `RequestException` for what may pass."""
    if response.status_code >= 500 or response.status_code in (408, 429):
        raise requests.RequestException(f"HTTP status {response.status_code}")
    if response.status_code not in (200, 206):
        raise ImageError(f"{url}: HTTP status {response.status_code} {response.reason}", hint=HINT)


def _check_room(size: int, part: PartialDownload, url: str) -> None:
    if size > shutil.disk_usage(part.path.parent).free:
        logger.debug("%s: %d bytes do not fit", url, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _pieces(raw: urllib3.HTTPResponse, deadline: Deadline) -> Iterator[bytes]:
    """Yield what comes as it comes: a slow server must not keep us from looking at the clock."""
    while piece := raw.read1(CHUNK):
        yield piece
        if deadline.passed:
            return


def _told(pieces: Iterator[bytes], url: str, have: int, size: int | None) -> Iterator[bytes]:
    """Pass pieces on, and say now and then how far it is."""
    total = "" if size is None else f" of {size >> 20}"
    logger.info("downloading %s: %d%s MiB", url, have >> 20, total)
    last = time.monotonic()
    for piece in pieces:
        yield piece
        have += len(piece)
        if time.monotonic() - last > NEWS_SECONDS:
            last = time.monotonic()
            logger.info("downloading %s: %d%s MiB", url, have >> 20, total)


def _sentence(exc: Exception) -> str:
    """Say the innermost reason: requests wraps urllib3's, which repeats the address twice."""
    cause: object = exc
    while isinstance(inner := _within(cause), Exception):
        cause = inner
    return CONNECTION.sub("", str(cause)) or type(cause).__name__


def _within(cause: object) -> object:
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        return cause.reason
    return cause.args[0] if isinstance(cause, requests.RequestException) and cause.args else None
