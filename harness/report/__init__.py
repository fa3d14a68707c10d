"""A matrix as text: one module for each format, and this table. Same report, same bytes."""

from collections.abc import Callable, Mapping

from harness.matrix import encode
from harness.report import html, junit, markdown, terminal
from harness.report.report import Report

__all__ = ["FORMATS", "Report"]

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "terminal": lambda report: terminal.render(report.matrix),
    "markdown": lambda report: markdown.render(report.matrix),
    "html": html.render,
    "junit": junit.render,
    "json": lambda report: encode(report.matrix).decode(),
}
"""Format to what renders it."""
