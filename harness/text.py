"""Makes text from a guest safe to show: it cannot move a cursor or open an HTML tag."""

import re
import textwrap
import unicodedata
from typing import NamedTuple

_PLAIN = re.compile(r"[ -~]*")

LONGEST = 2000
"""The most characters of one text in a report; usual texts have a tenth of it."""

_EMOJI = r"(?:[+-]1|100|1234|[a-z0-9_-]*[a-z_][a-z0-9_-]*):"
"""What turns the colon before it into a GitHub short code; a time of day does not match."""

_MARKDOWN = re.compile(rf"[\\`*_{{}}\[\]()<>#|~&@$]|:(?=//|{_EMOJI})|(?<=www)\.", re.IGNORECASE)

_MEANS_MORE = {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "$": "<span>$</span>",
    "@": "@<!-- -->",
    "#": "#<!-- -->",
    ":": ":<!-- -->",
    ".": "<!-- -->.",
}
"""Characters for which a backslash does not help: HTML passes through Markdown, and GitHub looks
for mentions, issues, emoji and addresses in the finished page. An empty comment breaks them up and
is not visible."""


def plain(said: bytes) -> str:
    """Decode the bytes of a console; keep its lines, escape other controls and non-ASCII bytes."""
    text = said.decode("ascii", errors="backslashreplace").replace("\r", "")
    return "".join(
        char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text
    )


def visible(text: str) -> str:
    r"""Return the text with every character escaped that is not visible by itself.

    Control characters, NUL, line ends, bidi overrides and other format characters, lone
    surrogates, and combining marks become `\xNN` or `\uNNNN`. A backslash is doubled.
    """
    if _PLAIN.fullmatch(text) and "\\" not in text:
        return text
    return text.translate(_VISIBLE)


def short(text: str) -> str:
    """Return the first `LONGEST` characters, made visible; matrix.json has the whole text."""
    return visible(text if len(text) <= LONGEST else f"{text[:LONGEST]}\N{HORIZONTAL ELLIPSIS}")


class _Visible(dict[int, str]):
    """Maps each character to how it is shown; computed on first use (str.translate)."""

    def __missing__(self, code: int) -> str:
        shown = _visible_character(chr(code))
        if code < KEPT:
            self[code] = shown
        return shown


KEPT = 0x10000
"""Only code points below this are cached, so that a guest cannot fill memory with all of them."""

_VISIBLE = _Visible()


def _visible_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable() and not unicodedata.category(character).startswith("M"):
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def markdown(text: str) -> str:
    """Escape the text so that GitHub's Markdown shows it literally, also in a table cell.

    A backslash may stand before any ASCII punctuation (CommonMark 0.31, 2.4); `_MEANS_MORE` covers
    the characters for which it does not help.
    """
    return _MARKDOWN.sub(lambda match: _MEANS_MORE.get(match[0], f"\\{match[0]}"), short(text))


def cells(text: str) -> int:
    """Return how many columns the text takes on a terminal; it must be visible already."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def clip(text: str, width: int) -> str:
    """Return the text; if it takes more than `width` columns, cut it and end it with `…`."""
    if cells(text) <= width:
        return text
    while cells(text) > width - 1:
        text = text[: min(len(text) - 1, max(width - 1, 0))]
    return f"{text}…"


class Paint(NamedTuple):
    """Colours text, or leaves it as it is."""

    on: bool

    def __call__(self, text: str, style: str | None) -> str:
        """Return the text, with its padding, in a style."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.on and style and text.strip() else text


def wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """Wrap at blanks; lines after the first are indented."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
