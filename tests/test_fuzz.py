"""Mutated files and texts are read, or rejected with their name; never a traceback or a blow-up.

`tests/fuzz_atheris.py` does the same guided by coverage; run it by hand, as long as you like.
"""

import logging
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from fuzzed import MATRIX, READERS, Reader
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cli.exit import complain, complain_of
from harness.providers.qemu.console import Console
from harness.text import plain
from harness.transport.shell import Capture, login_command, script

TOKEN = re.compile(rb'"[^"]*"|\[[^\[\]]*\]|\{[^{}]*\}|[\w./-]+')

WORDS = (
    *(b"", b"\0", b"\xff", b"\xc2\x85", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8"),
    *(b"\n", b"\r", b"\t", b" ", b"'", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b": ", b"- "),
    *(b"# ", b"? ", b"|\n", b">-\n", b"---\n", b"...\n", b"%YAML 1.1\n---\n", b"&a ", b"*a"),
    *(b"<<: ", b"!!int ", b"!!float ", b"!!bool ", b"!!null ", b"!!str ", b"!!timestamp "),
    *(b"!!binary ", b"!!set ", b"!!python/name:os.system ", b"null", b"true", b"[]", b"{}"),
    *(b"0", b"-0", b"-1", b"01", b"0x", b"0b", b"1:60", b"-1:60", b"1e999", b"1.5", b"NaN"),
    *(b".inf", b".nan", b"9" * 25, b"1" * 5000, b"1:" * 3000 + b"1", b"2026-13-45", b"2026-11-22"),
    *(b"[" * 200, b'{"a":' * 200, b"{a: " * 40, b'"a\\0b"', b'"a\\u0000b"', b'"\\ud800"'),
    *(b"../../x", b"~", b"~no-such-user/x", b"$HOME", b"a" * 4000),
)
"""Texts that often break parsers."""


def spans(text: bytes) -> st.SearchStrategy[tuple[int, int]]:
    """Draw the bytes to overwrite: a token, or any few bytes."""
    tokens = [match.span() for match in TOKEN.finditer(text)] or [(0, 0)]
    starts, sizes = st.integers(0, len(text)), st.sampled_from([0, 1, 5, 80])
    return st.sampled_from(tokens) | st.builds(lambda at, size: (at, at + size), starts, sizes)


@st.composite
def mutants(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw a valid file in which something was cut, overwritten or repeated."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        (start, end), (first, last) = draw(spans(text)), draw(spans(text))
        other = st.sampled_from(WORDS) | st.binary(max_size=4) | st.just(text[first:last])
        text = text[:start] + draw(other) + text[end:]
    return text


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_any_file_is_read_or_refused_by_its_name(
    reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # invalid leases are logged

    @settings(max_examples=reader.examples, deadline=None, database=None)
    @given(mutants(reader.seeds))
    def look(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            refusal = reader.look(Path(folder), content)
            assert refusal is None or str(refusal).startswith(folder)

    look()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_file_of_ours_is_read(reader: Reader, tmp_path: Path) -> None:
    for number, seed in enumerate(reader.seeds):
        assert reader.look(tmp_path / str(number), seed) is None


BOMBS = {
    "lists in lists": b"[" * 200_000,
    "maps in maps": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "depth in a key": b'{"line":"run","journal":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "a number of a thousand parts": b"name: " + b"1:" * 50_000 + b"1",
    "laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nname: [*b,*b,*b,*b]\n",
    "a merge of itself": b"a: &a\n  <<: *a\n",
    "flows in flows": b"{a: " * 60_000,
    "anchors": b"x: " + b"&a " * 60_000,
    "one long word": b"system: " + b"1" * 250_000,
    "blank lines": b"a:\n" + b"\n" * 250_000,
    "zeroes": b"\0" * 250_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_file_is_a_bomb(reader: Reader, bomb: bytes, tmp_path: Path) -> None:
    began = time.process_time()
    refusal = reader.look(tmp_path, bomb + b"\n")
    assert time.process_time() - began < 5
    if reader.name not in ("lease", "answer"):  # which are logged, and judged
        assert refusal is not None


def test_an_error_fills_no_terminal_whatever_it_repeats(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = {reader.name: reader for reader in READERS}["matrix"].look(
        tmp_path, MATRIX.replace(b'"full"', b'"%s\\u001b[2J"' % (b"x" * 100_000))
    )
    assert said is not None
    complain_of(said)
    complain("\n" * 100_000, hint="\x1b]0;x\a")
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {tmp_path}")
    assert "\x1b" not in shown
    assert len(shown) < 12_000


@given(st.binary(max_size=300))
def test_what_a_console_said_cannot_steer_a_terminal(said: bytes) -> None:
    shown = plain(said)
    assert all(char.isprintable() or char in "\n\t" for char in shown)
    assert shown.isascii()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_a_console_is_read_as_it_grows_whatever_is_in_it(parts: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        console = Console(Path(folder, "console.log"))
        for part in parts:
            with console.path.open("ab") as log:
                log.write(part)
            console.panic()
        assert console.text() == "".join(map(plain, parts))
        console.trim()
        assert console.tail() == console.text().strip()


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_of_a_stream_its_beginning_goes_on_and_it_is_said_if_there_was_more(
    chunks: list[bytes],
) -> None:
    taken = bytearray()
    capture = Capture(50, taken.extend)
    for chunk in chunks:
        capture.add(chunk)
    said = b"".join(chunks)
    assert taken == said[:50]
    assert capture.truncated == (len(said) > 50)


ARGUMENTS = st.lists(
    st.one_of(
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20),
        st.text("'\"\\!%$`-\n\t *?~#&|;<>(){}[]", max_size=12),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=80, deadline=None)
@given(ARGUMENTS)
def test_any_argument_comes_through_a_real_shell_as_it_is(arguments: list[str]) -> None:
    argv = ["printf", r"%s\0", *arguments]
    for command in (script(argv), login_command(argv)):
        done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=True)
        assert done.stdout.split(b"\0")[:-1] == [argument.encode() for argument in arguments]


@settings(max_examples=60)
@given(ARGUMENTS)
def test_what_a_login_shell_gets_is_plain_ascii_in_few_words(
    arguments: list[str],
) -> None:
    command = login_command(["echo", *arguments])
    words = shlex.split(command)
    assert words[:2] == ["sh", "-c"]
    assert len(words) in (3, 4)
    assert re.fullmatch("[ -~]+", command)
