"""Breaks the texts of a terminal's table where a reader does not stumble."""

import re
import textwrap

from harness.text import cells, clip

BREAK = re.compile(r"(?<=:)(?=[A-Z])| (?=[^ ]+%$)")
"""Where a verdict may be broken into two lines: before its errno, and before its share."""

PARTS = re.compile(r"^[^-+~_.]+|[-+~_.][^-+~_.]*")

DOT = " · "
"""The separator between the axes in a row's label."""


def pieces(text: str, width: int) -> list[str]:
    """Break a text at `BREAK`, or anywhere if that is not enough."""
    if cells(text) <= width:
        return [text]
    parts = BREAK.split(text)
    return [
        piece
        for part in parts
        for piece in textwrap.wrap(part, width, break_on_hyphens=False) or [""]
    ]


def cut(text: str, width: int) -> str:
    """Cut a release only between its parts: 6.18.44 cut to `6.18.4…` would name another release."""
    if cells(text) <= width:
        return text
    parts = PARTS.findall(text)
    while parts and cells("".join(parts)) > width - 1:
        parts.pop()
    return f"{''.join(parts)}…" if parts else clip(text, width)


def label_lines(text: str, width: int) -> list[str]:
    """Wrap a label between axes if possible; a line that continues ends with a dot."""
    if cells(text) <= width:
        return [text]
    lines = [""]
    *parts, last = text.split(DOT)
    for part, after in (*((part, cells(DOT) - 1) for part in parts), (last, 0)):
        longer = f"{lines[-1]}{DOT}{part}" if lines[-1] else part
        if lines[-1] and cells(longer) + after > width:
            lines[-1] += DOT.rstrip()
            lines.append(f"  {part}")
        else:
            lines[-1] = longer
    return [
        piece
        for line in lines
        for piece in textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False)
    ]
