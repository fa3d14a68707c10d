"""What a matrix was judged from: what each guest replied, and the end of its console."""

from collections.abc import Collection, Mapping

from msgspec import Struct, field

from harness.matrix.matrix import Key

ROOM = 10 << 20
"""Bytes of replies that a page carries, of all guests together; a full run of one guest has 5."""

LIMITS = (1 << 16, 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11, 1 << 10, 1 << 9, 1 << 8, 0)
"""Bytes of each reply: the most generous limit is taken with which all replies fit."""

CONSOLE_BYTES = 1 << 12
"""Bytes of a console that are shown: its end, where a guest says why it died."""


class RecordedReply(Struct, frozen=True):
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

    replies: tuple[RecordedReply, ...] = ()
    consoles: Mapping[str, bytes] = field(default_factory=dict)


def limit(lengths: Collection[int]) -> int:
    """Return how many bytes of each reply a page has room for."""
    return next(one for one in LIMITS if sum(min(one, length) for length in lengths) <= ROOM)
