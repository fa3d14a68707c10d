"""A terminal's output without what is not text."""

import pytest

from harness.providers.qemu.typed_console.clean_text import KEPT, CleanText


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("a\x1b[1;31mb\x1b[0mc", "abc"),
        ("\x1b]0;title\x07# \x1b[6n", "# "),
        ("\x1bP1$r\x1b\\x\x1b(By\x1b=z", "xyz"),
        ("login: \r\n\tx\x00\x7f", "login: \n x"),
        ("rot\b \b\b \boot", "root"),
        ("\b\nab\b\b\bc", "\nc"),
        ("caf\xe9", "caf\xe9"),
    ],
)
def test_only_text_is_left_however_it_arrives(said: str, text: str) -> None:
    for size in (1, 2, 3, len(said)):
        clean = CleanText()
        for begin in range(0, len(said), size):
            clean.add(said[begin : begin + size])
        assert clean.text == text


def test_an_escape_without_an_end_is_noise() -> None:
    clean = CleanText()
    clean.add("a\x1b]" + "b" * 1000)
    assert clean.text.startswith("a")
    clean.add("# ")
    assert clean.text.endswith("# ")


def test_of_a_flood_the_end_is_kept() -> None:
    clean = CleanText()
    for _ in range(10):
        clean.add("x" * KEPT)
    clean.add("end")
    assert (len(clean.text), clean.text[-3:]) == (KEPT, "end")
    clean.drop(KEPT - 3)
    assert clean.text == "end"
    clean.drop()
    assert clean.text == ""
