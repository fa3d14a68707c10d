"""Writes lists as columns or as JSON to standard output."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

import click
import msgspec

from harness.machine.files import as_json
from harness.text import cells, visible

MARGIN = 24
"""Minimum width of the last column; a narrower terminal wraps the line itself."""


def write_json(value: object) -> None:
    """Write a value as JSON."""
    click.echo(msgspec.json.format(as_json(value), indent=2))


def write_table(rows: Sequence[Sequence[str]]) -> None:
    """Write columns, each as wide as its widest text.

    The last text of a row may have several lines. A terminal gets it wrapped; otherwise each row is
    one line, so that grep(1) can be used.
    """
    heads = [[visible(text) for text in row[:-1]] for row in rows]
    widths = [max(map(cells, column)) for column in zip(*heads, strict=True)]
    indent = sum(width + 2 for width in widths)
    for head, row in zip(heads, rows, strict=True):
        pairs = zip(head, widths, strict=True)
        shown = "".join(f"{text}{' ' * (width - cells(text) + 2)}" for text, width in pairs)
        lines = [visible(line) for line in row[-1].splitlines()] or [""]
        last = f"\n{' ' * indent}".join(_wrapped(lines, indent))
        click.echo(f"{shown}{last}".rstrip())


def _wrapped(lines: Sequence[str], indent: int) -> Sequence[str]:
    if not sys.stdout.isatty():
        return ["; ".join(lines)]
    width = max(shutil.get_terminal_size().columns - indent, MARGIN)
    wrapper = textwrap.TextWrapper(width, subsequent_indent="  ", break_on_hyphens=False)
    return [part for line in lines for part in wrapper.wrap(line) or [""]]
