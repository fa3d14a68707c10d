"""A batch's output taken apart into blocks, one for each answer, within bounds.

Whatever a guest says, no more of it is held than an agent of ours could have said: of a block that
is spoilt only what names it, and how it ended.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from harness.wire.observation import Begin, Event, Exit, Flows

LINE_CAP = 1 << 20
"""Bytes; the longest honest line has 20000 flows with their times, 0.7 MiB."""

SHORT_CAP = 64 << 10
"""Bytes of a line that is not `flows`: of texts and facts an agent has a few, of 4 KiB."""

LINES_CAP = 4096
"""Lines of a block; a drain of 1000 rounds has 2000 changes."""

BLOCK_CAP = 4 << 20
"""Bytes; the longest honest block (20000 flows, six phases) has about 3 MiB."""

NUMBERS_CAP = 500_000
"""Commas of a block; the longest honest one has 480000. What stands between two of them takes up
to 72 bytes once it is read, twenty times what it takes in the line."""

BLOCKS_CAP = 4096
"""Answers to one batch, which has some hundred questions."""

WHY_CAP = 300
"""Characters of msgspec's sentence, in which a guest's words may be; wire.py makes it visible."""

_EVENT = msgspec.json.Decoder(Event)
_FLOWS = msgspec.json.Decoder(Flows)

_LANDMARK = re.compile(rb'"(?:begin|exit)"')
"""In the lines by which a block's end is known. No agent of ours writes these words otherwise."""


class Block(Struct, frozen=True):
    """The bytes of an answer, its events, and the first fault of its lines, empty if none.

    The fault may repeat words of the guest.
    """

    raw: bytes
    events: Sequence[Event] = ()
    fault: str = ""


def blocks(text: bytes) -> Iterator[Block]:
    """Yield each block: up to its `exit`, or to where another begins. All bytes are in one."""
    start = count = 0
    while start < len(text):
        if count == BLOCKS_CAP:
            yield Block(text[start:], fault=f"more than {BLOCKS_CAP} answers")
            return
        block = _block(text, start)
        start += len(block.raw)
        count += 1
        yield block
        del block  # its events go before the next one's come


def _block(text: bytes, start: int) -> Block:
    events: list[Event] = []
    begun: str | None = None
    fault = ""
    at, numbers = start, 0
    while at < len(text):
        if fault and (at := _landmark(text, at)) == len(text):
            break
        end = text.find(b"\n", at) + 1 or len(text)  # a carriage return ends no line
        numbers += text.count(b",", at, end)
        event, wrong = _decode(text[at:end])
        named = event if isinstance(event, Begin | Exit) else None
        if named is not None and begun not in (None, named.id):
            break
        if isinstance(event, Begin) and begun is not None:
            wrong = "begin twice"
        at = end
        fault = fault or wrong or _excess(len(events), at - start, numbers)
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
    """Return where the next line begins that may be a `begin` or an `exit`, else the end."""
    found = _LANDMARK.search(text, at)
    return len(text) if found is None else text.rfind(b"\n", at, found.start()) + 1 or at


def _once(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    """Refuse what msgspec lets pass: a key that stands twice, of which the last would win."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("the same key twice")
    return dict(pairs)


def _decode(line: bytes) -> tuple[Event | None, str]:
    """Return a line's event, or what is wrong with it."""
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
