"""The recordings in a page: replies and consoles, packed and limited in size."""

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from harness.matrix import Key
from harness.matrix.recordings import CONSOLE_BYTES, LIMITS, RecordedReply, Recordings, limit
from harness.text import visible

PACKED = 3 << 20
"""Bytes that the replies may take in a page. The lines of an agent compress well; noise does
not."""

Chunks = Mapping[tuple[str, str], str]
"""By guest and scenario, the replies: JSON, zlib-compressed (RFC 1950), in base64."""


def packed(recordings: Recordings, cells: Mapping[tuple[str, Key], int]) -> Chunks:
    """Return the replies for a page, each with the number of its cell, cut to fit into `PACKED`."""
    known = [one for one in recordings.replies if (one.guest, one.key) in cells]
    most = limit([len(one.raw) for one in known])
    for one in LIMITS:
        if one <= most:
            chunks = _chunks(known, cells, one)
            size = sum(map(len, chunks.values()))
            if size <= PACKED:
                return chunks
            # This text hardly compresses. Skip the limits that are certain to be too large.
            most = one * PACKED // size
    return {}


def _chunks(
    replies: Iterable[RecordedReply], cells: Mapping[tuple[str, Key], int], most: int
) -> dict[tuple[str, str], str]:
    groups: dict[tuple[str, str], list[RecordedReply]] = {}
    for one in replies:
        groups.setdefault((one.guest, one.key[0]), []).append(one)
    return {
        group: _deflated([_row(one, cells[one.guest, one.key], most) for one in some])
        for group, some in groups.items()
    }


def _deflated(rows: object) -> str:
    # The fastest level: the next ones save a tenth of the page and take four times as long.
    return base64.b64encode(zlib.compress(msgspec.json.encode(rows), 1)).decode()


def _row(one: RecordedReply, cell: int, most: int) -> tuple[object, ...]:
    failure = None if one.failure is None else visible(one.failure)
    made = (visible(one.started), one.seconds, one.status, failure)
    raw = one.raw[:most]
    return (cell, one.attempt, *made, one.offset, one.length, len(raw), shown(raw))


def shown(raw: bytes) -> str:
    """Return bytes as lines that are safe to show; bytes that are not UTF-8 are escaped."""
    return "\n".join(_lines(raw))


def _lines(raw: bytes) -> Iterator[str]:
    return map(visible, raw.decode(errors="backslashreplace").rstrip("\n").split("\n"))


def tail(console: bytes) -> str:
    """Return the end of a console, starting with a whole line."""
    end = console[-CONSOLE_BYTES:]
    cut = end[end.find(b"\n") + 1 :] if len(console) > CONSOLE_BYTES else end
    return shown(cut.replace(b"\r\n", b"\n"))
