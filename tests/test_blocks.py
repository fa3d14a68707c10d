"""The output of a batch is split within fixed limits, whatever it contains."""

import time
import tracemalloc

import pytest
from test_wire import BEGIN, END, EXIT, FLOWS, GOOD, MEMBER, torn

from harness.scenarios import SCRIPTS
from harness.wire import blocks
from harness.wire.replies import outline, parse


def test_a_line_beyond_the_cap_is_torn_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LINE_CAP", len(FLOWS) - 1)
    assert torn(GOOD) == f"a line of {len(FLOWS)} bytes, {len(FLOWS) - 1} is the most"


def test_a_block_beyond_the_cap_is_torn() -> None:
    assert blocks.BLOCK_CAP == 4 * 1024 * 1024
    flood = BEGIN + MEMBER * (blocks.BLOCK_CAP // len(MEMBER) + 1) + END + EXIT
    assert torn(flood) == f"an answer of {len(flood)} bytes, {blocks.BLOCK_CAP} is the most"


def test_more_answers_than_anybody_asked_for_are_kept_in_one() -> None:
    replies = parse(EXIT * 5000 + GOOD, SCRIPTS)
    assert len(replies) == blocks.BLOCKS_CAP + 1
    assert (replies[-1].torn, replies[-1].observation) == ("more than 4096 answers", None)
    assert b"".join(reply.raw for reply in replies) == EXIT * 5000 + GOOD


def test_a_block_of_more_numbers_than_anybody_has_is_torn_and_spoils_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "NUMBERS_CAP", GOOD.count(b","))
    other = GOOD.replace(b'"id":"q"', b'"id":"r"')
    many, good = parse(GOOD.replace(FLOWS, FLOWS * 2) + other, SCRIPTS)
    assert many.torn == f"more than {GOOD.count(b',')} numbers"
    assert good.torn is None


def flows(fate: bytes, other: bytes, phase: int) -> bytes:
    """Return the shortest line with 2000 flows."""
    arrays = [b"[" + b",".join([one] * 2000) + b"]" for one in (fate, other, other, other)]
    names = (b"fates", b"ports", b"started", b"took")
    said = b",".join(b'"%s":%s' % pair for pair in zip(names, arrays, strict=True))
    return b'{"event":"flows","phase":"left-%d",%s}\n' % (phase, said)


WORST = {
    "short strings": (b'"E1"', b"1"),
    "pairs": (b"[0,0]", b"999"),
    "strings and numbers": (b'"E1"', b"999"),
    "long lists": (b"[" + b",".join([b"999"] * 100) + b"]", b"1"),
}


@pytest.mark.parametrize("numbers", WORST.values(), ids=WORST)
def test_an_answer_that_is_held_costs_no_more_than_an_honest_one_could(
    numbers: tuple[bytes, bytes],
) -> None:
    text = BEGIN
    while len(text) < blocks.BLOCK_CAP:
        text += flows(*numbers, text.count(b"\n"))
    text = (text + END + EXIT) * 2
    tracemalloc.start()
    assert all(reply.torn for reply in outline(text, SCRIPTS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(text) + (32 << 20)


@pytest.mark.parametrize("line", [b"\n", b"x\n", END, MEMBER, b'"exit"\n'], ids=repr)
def test_a_flood_of_lines_costs_little_time_and_memory(line: bytes) -> None:
    """With an object and a sentence held for each line, newlines once took 1.9 GiB and 23 s."""
    flood = line * ((2 << 20) // len(line))
    began = time.process_time()
    (reply,) = parse(flood, SCRIPTS)
    took = time.process_time() - began
    assert reply.torn
    assert took < 10  # 1 s on an idle machine; tracing memory would make it 7 s
    tracemalloc.start()
    parse(flood, SCRIPTS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(flood) + (8 << 20)
