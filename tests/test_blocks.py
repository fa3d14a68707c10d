"""A batch's output is taken apart within bounds, whatever stands in it."""

import time
import tracemalloc

import pytest
from test_wire import BEGIN, END, EXIT, FLOWS, GOOD, MEMBER, torn

from harness import blocks
from harness.wire import parse


def test_a_line_beyond_the_cap_is_torn_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LINE_CAP", len(FLOWS) - 1)
    assert torn(GOOD) == f"a line of {len(FLOWS)} bytes, {len(FLOWS) - 1} is the most"


def test_a_block_beyond_the_cap_is_torn() -> None:
    assert blocks.BLOCK_CAP == 4 * 1024 * 1024
    flood = BEGIN + MEMBER * (blocks.BLOCK_CAP // len(MEMBER) + 1) + END + EXIT
    assert torn(flood) == f"an answer of {len(flood)} bytes, {blocks.BLOCK_CAP} is the most"


def test_more_answers_than_anybody_asked_for_are_kept_in_one() -> None:
    replies = parse(EXIT * 5000 + GOOD)
    assert len(replies) == blocks.BLOCKS_CAP + 1
    assert (replies[-1].torn, replies[-1].observation) == ("more than 4096 answers", None)
    assert b"".join(reply.raw for reply in replies) == EXIT * 5000 + GOOD


@pytest.mark.parametrize("line", [b"\n", b"x\n", END, MEMBER, b'"exit"\n'], ids=repr)
def test_a_flood_of_lines_costs_little_time_and_memory(line: bytes) -> None:
    """Held were an object and a sentence for each line: 1.9 GiB and 23 s for newlines."""
    flood = line * ((2 << 20) // len(line))
    tracemalloc.start()
    began = time.process_time()
    (reply,) = parse(flood)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply.torn
    assert took < 10  # tracemalloc's own cost is most of it
    assert peak < len(flood) + (8 << 20)
