"""Splits the output of a batch into blocks, one for each answer, within fixed limits.

A guest cannot make the harness hold more than a real agent could have sent. Of a faulty block only
the lines that name it and tell how it ended are kept.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from harness.wire.observation import Begin, Event, Exit, Flows

LINE_CAP = 1 << 20
"""Bytes. The longest line of a real agent has 20000 flows with their times: 0.7 MiB."""

SHORT_CAP = 64 << 10
"""Bytes of a line that is not `flows`. Texts and facts are few, and at most 4 KiB each."""

LINES_CAP = 4096
"""Lines of a block. A drain of 1000 rounds has 2000 changes."""

BLOCK_CAP = 4 << 20
"""Bytes. The longest block of a real agent (20000 flows, six phases) has about 3 MiB."""

NUMBERS_CAP = 500_000
"""Commas of a block. The longest block of a real agent has 480000. A value between two commas takes
up to 72 bytes once it is decoded, twenty times as much as in the line."""

BLOCKS_CAP = 4096
"""Answers to one batch, which has a few hundred questions."""

WHY_CAP = 300
"""Characters of msgspec's message, which may quote the guest; wire/replies.py escapes it."""

_EVENT = msgspec.json.Decoder(Event)
_FLOWS = msgspec.json.Decoder(Flows)

_LANDMARK = re.compile(rb'"(?:begin|exit)"')
"""Finds the lines that tell where a block ends. A real agent writes these words nowhere else."""


class Block(Struct, frozen=True):
    """The bytes of an answer, its events, and the first fault of its lines (empty if none).

    The fault may quote the guest, so it must be escaped before it is shown.
    """

    raw: bytes
    events: Sequence[Event] = ()
    fault: str = ""


def blocks(text: bytes) -> Iterator[Block]:
    """Yield each block, which ends at its `exit` or where the next one begins.

    Every byte of `text` is in exactly one block.
    """
    start = count = 0
    while start < len(text):
        if count == BLOCKS_CAP:
            yield Block(text[start:], fault=f"more than {BLOCKS_CAP} answers")
            return
        block = _block(text, start)
        start += len(block.raw)
        count += 1
        yield block
        del block  # free its events before the next block's are decoded


def _block(text: bytes, start: int) -> Block:
    events: list[Event] = []
    begun: str | None = None
    fault = ""
    at, numbers = start, 0
    while at < len(text):
        # After a fault only a `begin` or an `exit` matters, so all other lines are skipped unread.
        if fault and (at := _landmark(text, at)) == len(text):
            break
        end = text.find(b"\n", at) + 1 or len(text)  # a carriage return does not end a line
        numbers += text.count(b",", at, end)
        event, wrong = _decode(text[at:end])
        named = event if isinstance(event, Begin | Exit) else None
        # A line of another question starts the next block: this one lost its `exit`.
        if named is not None and begun not in (None, named.id):
            break
        if isinstance(event, Begin) and begun is not None:
            wrong = "begin twice"
        at = end
        fault = fault or wrong or _excess(len(events), at - start, numbers)
        # A faulty block keeps only what names its question, and its `exit`.
        if event is not None and (not fault or begun is None or isinstance(event, Exit)):
            events.append(event)
        begun = named.id if named is not None else begun
        if isinstance(event, Exit):
            break
    return Block(text[start:at], tuple(events), fault)


def _excess(lines: int, size: int, numbers: int) -> str:
    if numbers > NUMBERS_CAP:
        return f"more than {NUMBERS_CAP} numbers"
    if lines >= LINES_CAP:
        return f"more than {LINES_CAP} lines"
    return f"more than {BLOCK_CAP} bytes" if size > BLOCK_CAP else ""


def _landmark(text: bytes, at: int) -> int:
    """Return the start of the next line that may be a `begin` or an `exit`, or the end of text."""
    found = _LANDMARK.search(text, at)
    return len(text) if found is None else text.rfind(b"\n", at, found.start()) + 1 or at


def _once(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    """Return the pairs as a dict; raise ValueError on a duplicate key, which msgspec accepts."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("the same key twice")
    return dict(pairs)


def _decode(line: bytes) -> tuple[Event | None, str]:
    """Return a line's event and an empty text, or None and the fault."""
    if not line.endswith(b"\n"):
        return None, "the last line is cut off"
    if len(line) > LINE_CAP:
        return None, f"a line of {len(line)} bytes, {LINE_CAP} is the most"
    if not line.isascii():
        return None, "a line is not ASCII"
    try:
        event = _EVENT.decode(line) if len(line) <= SHORT_CAP else _FLOWS.decode(line)
        json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError) as exc:  # msgspec's errors are ValueErrors
        return None, f"not a line of the agent's language: {str(exc)[:WHY_CAP]}"
    return event, ""
