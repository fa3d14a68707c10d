"""The formats of a report and their renderers. The same report always gives the same bytes."""

from collections.abc import Callable, Mapping

from harness.report import compatibility, header, html, junit, markdown, table, terminal
from harness.report.report import Report

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "terminal": lambda report: terminal.render(report.matrix),
    "html": html.render,
    "markdown": lambda report: markdown.render(report.matrix),
    "csv": lambda report: table.render(report.matrix),
    "junit": junit.render,
    "json": lambda report: compatibility.with_matrix(report.matrix),
    "compat": lambda report: compatibility.render(report.matrix),
    "header": lambda report: header.render(report.matrix),
}
"""Each format's renderer."""
