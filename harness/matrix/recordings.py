"""The recordings behind a matrix: each guest's replies, and the end of its console."""

from collections.abc import Collection, Mapping

from msgspec import Struct, field

from harness.matrix.matrix import Key

ROOM = 10 << 20
"""Bytes of replies in a page, of all guests together. A full run of one guest has 5 MiB."""

LIMITS = (1 << 16, 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11, 1 << 10, 1 << 9, 1 << 8, 0)
"""Bytes of each reply. The largest of these limits is used with which all replies fit."""

CONSOLE_BYTES = 1 << 12
"""Bytes shown of the end of a console, where a guest prints why it died."""


class RecordedReply(Struct, frozen=True):
    """One attempt at a cell, and its reply: `length` bytes from `offset` on in `agent.jsonl`.

    `raw` is the beginning of these bytes, as much as a page has room for. `status` is the exit
    status of the agent's process, `failure` a failure of the infrastructure.
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
    """All recordings of a run; empty if only its matrix is there."""

    replies: tuple[RecordedReply, ...] = ()
    consoles: Mapping[str, bytes] = field(default_factory=dict)


def limit(lengths: Collection[int]) -> int:
    """Return how many bytes of each reply fit into a page."""
    return next(one for one in LIMITS if sum(min(one, length) for length in lengths) <= ROOM)
