"""Downloads over HTTP: resumes if the server allows it, and gives up on a silent server."""

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
logger.setLevel(logging.INFO)  # without progress lines a download looks like a hang

CHUNK = 1 << 16
REACH_SECONDS = 20.0
"""Limit for one attempt to connect; all attempts together obey the caller's deadline."""

SILENCE_SECONDS = 20.0
"""Silence after which a connection is closed, and the download resumed on a new one."""

ATTEMPTS = 4
"""Attempts in a row that brought no new byte, before the download fails."""

UNKNOWN_ATTEMPTS = 2
"""The same where the host's name is not known: most often there is no network."""

UNKNOWN_HOST = urllib3.exceptions.NameResolutionError

PAUSE = 0.5
"""Seconds before the next attempt, doubled after each that brought nothing."""

NEWS_SECONDS = 10.0
"""Interval between two progress lines."""

TEXT_LIMIT = 4 << 20

PLAIN = {"Accept-Encoding": "identity", "User-Agent": "reuseport-matrix"}
"""No compression on the way: checksums are of the bytes on the server's disk."""

CONNECTION = re.compile(r"^\w+\([^)]*\): ")
"""The start of urllib3's messages, `HTTPConnection(…): `, which is removed."""

PROBLEMS = (requests.RequestException, urllib3.exceptions.HTTPError)

HINT = "check the address, the network and the proxy (taken from the environment)"

CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class _Origin(Struct, frozen=True):
    """The file of a partial download; `validator` is an ETag or a date (RFC 9110, 13.1.5)."""

    url: str
    validator: str | None
    size: int | None


class PartialDownload:
    """An incomplete download, and notes on the file that it is part of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes = path.with_suffix(".part.json")

    @property
    def origin(self) -> _Origin | None:
        """The file that it is part of, None if that is unknown."""
        return recall(self._notes, _Origin)

    @property
    def have(self) -> int:
        """Bytes that were downloaded so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, origin: _Origin) -> None:
        """Record the file whose bytes follow."""
        remember(self._notes, origin)

    def progress(self) -> str | None:
        """Return the progress as text, None if nothing is downloaded or the size is unknown."""
        origin = self.origin
        if origin is None or origin.size is None:
            return None
        return f"{self.have >> 20} of {origin.size >> 20} MiB downloaded"

    def discard(self) -> None:
        """Delete the download and its notes."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)


def fetch_into(part: PartialDownload, url: str, deadline: Deadline) -> None:
    """Complete a download: after a connection that ends early, resume with a new one.

    Raise `ImageError` if that fails; the part that was downloaded stays for the next time.
    """
    silent = 0
    while True:
        had, attempts = part.have, ATTEMPTS
        try:
            if _attempt(part, url, deadline):
                return
            problem = "the connection ended early"
        except PROBLEMS as exc:
            cause = _innermost(exc)
            problem = _sentence(cause)
            attempts = UNKNOWN_ATTEMPTS if isinstance(cause, UNKNOWN_HOST) else ATTEMPTS
        if deadline.passed:
            raise ImageError(f"{url}: interrupted, or too slow: {problem}", hint=HINT)
        # A slow connection that makes progress is no reason to give up.
        silent = 0 if part.have > had else silent + 1
        if silent >= attempts:
            raise ImageError(f"{url}: {problem}", hint=HINT)
        logger.info("%s: %s: trying again", url, problem)
        time.sleep(min(PAUSE * 2**silent, deadline.left()))


def fetch_text(
    url: str, deadline: Deadline, what: str = "a list of checksums", limit: int = TEXT_LIMIT
) -> str:
    """Return the text at an address, at most `limit` bytes; raise `ImageError`.

    `what` is what the text should be, for the message.
    """
    text = bytearray()
    try:
        with _asked(url, {}) as (response, raw):
            _check_status(response, url)
            while piece := raw.read1(CHUNK):
                text += piece
                if len(text) > limit or deadline.passed:
                    raise ImageError(f"{url}: too large for {what}, or too slow", hint=HINT)
    except PROBLEMS as exc:
        raise ImageError(f"{url}: {_sentence(_innermost(exc))}", hint=HINT) from exc
    return text.decode(errors="replace")


@contextmanager
def _asked(
    url: str, headers: Mapping[str, str]
) -> Iterator[tuple[requests.Response, urllib3.HTTPResponse]]:
    """Send a request; yield the response after its headers, and the raw stream of its content."""
    timeout = (REACH_SECONDS, SILENCE_SECONDS)
    with (
        requests.Session() as session,
        session.get(url, headers={**PLAIN, **headers}, stream=True, timeout=timeout) as response,
    ):
        raw: urllib3.HTTPResponse = response.raw
        yield response, raw


def _attempt(part: PartialDownload, url: str, deadline: Deadline) -> bool:
    """Download from where the part ends; return whether it is complete now."""
    origin, have = part.origin, part.have
    headers = {}
    if have and origin is not None and origin.validator is not None and origin.url == url:
        if origin.size == have:
            return True
        # If the file has changed, the server sends the whole new one (RFC 9110, 13.1.5).
        headers = {"Range": f"bytes={have}-", "If-Range": origin.validator}
    with _asked(url, headers) as (response, raw):
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # The part does not fit the server's file, so start again from the beginning.
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
    # Without a length, only the orderly end of the connection shows the end (RFC 9112, 6.3).
    return size is None or part.have == size


def _extent(response: requests.Response, have: int) -> tuple[int, int | None]:
    """Return the offset at which the content begins, and the whole file's size if it is known."""
    if response.status_code == requests.codes.partial_content:
        said = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if said is not None and int(said[1]) == have:
            return have, int(said[2])
        raise requests.RequestException("the server sent a different part from the one requested")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(response: requests.Response) -> str | None:
    """Return what identifies this version of the file; a weak ETag does not, byte for byte."""
    tag = response.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")


def _check_status(response: requests.Response, url: str) -> None:
    """Raise `ImageError` for a final error, `RequestException` for one worth a retry."""
    if response.status_code >= 500 or response.status_code in (408, 429):
        raise requests.RequestException(f"HTTP status {response.status_code}")
    if response.status_code not in (200, 206):
        raise ImageError(f"{url}: HTTP status {response.status_code} {response.reason}", hint=HINT)


def _check_room(size: int, part: PartialDownload, url: str) -> None:
    if size > shutil.disk_usage(part.path.parent).free:
        logger.debug("%s: %d bytes do not fit", url, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _pieces(raw: urllib3.HTTPResponse, deadline: Deadline) -> Iterator[bytes]:
    """Yield data as it arrives, so that we check the deadline even if the server is slow."""
    while piece := raw.read1(CHUNK):
        yield piece
        if deadline.passed:
            return


def _told(pieces: Iterator[bytes], url: str, have: int, size: int | None) -> Iterator[bytes]:
    """Yield the pieces unchanged, and log the progress every `NEWS_SECONDS`."""
    total = "" if size is None else f" of {size >> 20}"
    logger.info("downloading %s: %d%s MiB", url, have >> 20, total)
    last = time.monotonic()
    for piece in pieces:
        yield piece
        have += len(piece)
        if time.monotonic() - last > NEWS_SECONDS:
            last = time.monotonic()
            logger.info("downloading %s: %d%s MiB", url, have >> 20, total)


def _innermost(exc: Exception) -> Exception:
    """Return the innermost reason: the outer ones, of requests, repeat the address twice."""
    while isinstance(inner := _within(exc), Exception):
        exc = inner
    return exc


def _sentence(cause: Exception) -> str:
    return CONNECTION.sub("", str(cause)) or type(cause).__name__


def _within(cause: object) -> object:
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        return cause.reason
    return cause.args[0] if isinstance(cause, requests.RequestException) and cause.args else None
