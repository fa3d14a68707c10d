"""What a matrix was judged from, as a page carries it: replies and consoles, packed and bounded."""

import base64
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct, field

from harness.matrix import Key
from harness.text import visible

ROOM = 10 << 20
"""Bytes of replies that a page carries, of all guests together; a full run of one guest has 5."""

PACKED = 3 << 20
"""Bytes that the replies may take in a page: noise does not shrink as an agent's lines do."""

LIMITS = (1 << 16, 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11, 1 << 10, 1 << 9, 1 << 8, 0)
"""Bytes of each reply: the most generous limit is taken with which all replies fit."""

TAIL = 1 << 12
"""Bytes of a console that are shown: its end, where a guest says why it died."""


class Reply(Struct, frozen=True):
    """One asking of a cell, and what answered it: bytes from `offset` on in `agent.jsonl`.

    `raw` is those bytes, or as many of the first ones as a page has room for, of `length`.
    `status` is that of the agent's process, `failure` what of the infrastructure failed.
    """

    guest: str
    key: Key
    attempt: int
    started: str
    seconds: float
    status: int | None
    failure: str | None
    offset: int
    length: int
    raw: bytes


class Recordings(Struct, frozen=True):
    """All that a run kept; nothing, if there is only its matrix."""

    replies: tuple[Reply, ...] = ()
    consoles: Mapping[str, bytes] = field(default_factory=dict)


Chunks = Mapping[tuple[str, str], str]
"""Guest and scenario to their replies: JSON, deflated (RFC 1950), in base64."""


def limit(lengths: Collection[int]) -> int:
    """Return how many bytes of each reply a page has room for."""
    return next(one for one in LIMITS if sum(min(one, length) for length in lengths) <= ROOM)


def packed(recordings: Recordings, cells: Mapping[tuple[str, Key], int]) -> Chunks:
    """Return what a page carries of the replies, each with the number of its cell."""
    known = [one for one in recordings.replies if (one.guest, one.key) in cells]
    most = limit([len(one.raw) for one in known])
    for one in LIMITS:
        if one <= most:
            chunks = _chunks(known, cells, one)
            size = sum(map(len, chunks.values()))
            if size <= PACKED:
                return chunks
            # Text that does not shrink: what is sure to be too much is not packed to find out.
            most = one * PACKED // size
    return {}


def _chunks(
    replies: Iterable[Reply], cells: Mapping[tuple[str, Key], int], most: int
) -> dict[tuple[str, str], str]:
    groups: dict[tuple[str, str], list[Reply]] = {}
    for one in replies:
        groups.setdefault((one.guest, one.key[0]), []).append(one)
    return {
        group: _deflated([_row(one, cells[one.guest, one.key], most) for one in some])
        for group, some in groups.items()
    }


def _deflated(rows: object) -> str:
    # The quickest level: the next ones save a tenth of the page and take four times as long.
    return base64.b64encode(zlib.compress(msgspec.json.encode(rows), 1)).decode()


def _row(one: Reply, cell: int, most: int) -> tuple[object, ...]:
    failure = None if one.failure is None else visible(one.failure)
    made = (visible(one.started), one.seconds, one.status, failure)
    raw = one.raw[:most]
    return (cell, one.attempt, *made, one.offset, one.length, len(raw), shown(raw))


def shown(raw: bytes) -> str:
    """Return bytes as lines that can be looked at; what is no UTF-8 is escaped."""
    return "\n".join(_lines(raw))


def _lines(raw: bytes) -> Iterator[str]:
    return map(visible, raw.decode(errors="backslashreplace").rstrip("\n").split("\n"))


def tail(console: bytes) -> str:
    """Return the end of a console, from the first whole line on."""
    end = console[-TAIL:]
    cut = end[end.find(b"\n") + 1 :] if len(console) > TAIL else end
    return shown(cut.replace(b"\r\n", b"\n"))
