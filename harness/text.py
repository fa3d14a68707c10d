"""Text from a guest made safe to show: nothing that it says can move a cursor or open a tag."""

import re
import textwrap
import unicodedata
from typing import NamedTuple

_PLAIN = re.compile(r"[ -~]*")

LONGEST = 2000
"""Characters of one text in a report; what our own programs say is a tenth of it."""

_EMOJI = r"(?:[+-]1|100|1234|[a-z0-9_-]*[a-z_][a-z0-9_-]*):"
"""What after a colon makes GitHub see a short code; a time of day does not."""

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
"""Where a backslash does not help: HTML passes through Markdown, and GitHub looks for mentions,
issues, emoji and addresses in the finished page. An empty comment parts them and shows nothing."""


def plain(said: bytes) -> str:
    """Decode a console's bytes, lines and all: only controls and what is no ASCII are escaped."""
    text = said.decode("ascii", errors="backslashreplace").replace("\r", "")
    return "".join(
        char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text
    )


def visible(text: str) -> str:
    r"""Return the text with everything that is not a visible character of its own escaped.

    Control characters, NUL, line ends, bidi overrides and other format characters, lone
    surrogates, and marks that would pile up on their neighbours become `\xNN` or `\uNNNN`; so does
    a backslash's own meaning: it is doubled.
    """
    if _PLAIN.fullmatch(text) and "\\" not in text:
        return text
    return text.translate(_VISIBLE)


def short(text: str) -> str:
    """Return as much of a text as a report has room for, visible; the rest is in matrix.json."""
    return visible(text if len(text) <= LONGEST else f"{text[:LONGEST]}\N{HORIZONTAL ELLIPSIS}")


class _Visible(dict[int, str]):
    """What each character is shown as, worked out when it is first met (str.translate)."""

    def __missing__(self, code: int) -> str:
        shown = _visible_character(chr(code))
        if code < KEPT:
            self[code] = shown
        return shown


KEPT = 0x10000
"""Code points of which it is kept: a guest that says every one there is does not fill memory."""

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
    """Return the text so that GitHub's Markdown shows just it, in a table cell too.

    Any ASCII punctuation may have a backslash (CommonMark 0.31, 2.4); for the rest see
    `_MEANS_MORE`.
    """
    return _MARKDOWN.sub(lambda match: _MEANS_MORE.get(match[0], f"\\{match[0]}"), short(text))


def cells(text: str) -> int:
    """Return how many columns of a terminal the (visible) text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def clip(text: str, width: int) -> str:
    """Return the text, its end replaced by `…` if it takes more than `width` columns."""
    if cells(text) <= width:
        return text
    while cells(text) > width - 1:
        text = text[: min(len(text) - 1, max(width - 1, 0))]
    return f"{text}…"


class Paint(NamedTuple):
    """Puts text into colour, or leaves it as it is."""

    on: bool

    def __call__(self, text: str, style: str | None) -> str:
        """Return the text in a style, padding and all."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.on and style and text.strip() else text


def wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """Wrap at blanks; lines after the first are indented."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
