"""The matrix as JUnit XML, for CI systems that show test results.

A guest is a suite and a cell is a test. A test fails if its verdict differs from the baseline, and
is an error if the infrastructure failed. Cells without a verdict (not applicable, not run,
inconclusive) and known differences are skipped. Without a baseline no test fails.
"""

import xml.etree.ElementTree as ElementTree  # nosec B405  # written here, never parsed
from collections import Counter
from collections.abc import Iterable, Mapping

from harness.matrix import Entry, Matrix
from harness.matrix.baseline import CONTRADICTS, BaselineCheck, Held, Outcome
from harness.model import State
from harness.report.provenance import provenance
from harness.report.report import Report
from harness.text import short

SUMS = ("tests", "failures", "errors", "skipped")


def render(report: Report) -> str:
    """Return the document, as described by Jenkins' junit-10.xsd."""
    matrix = report.matrix
    held = report.held or BaselineCheck(tuple(_plain(entry) for entry in matrix.cells), ())
    suites = ElementTree.Element("testsuites", name=f"reuseport-matrix {short(matrix.run.id)}")
    by_guest: dict[str, list[Held]] = {guest: [] for guest in matrix.guests}
    for one in held.held:
        by_guest[one.entry.guest].append(one)
    total: Counter[str] = Counter()
    for guest, some in by_guest.items():
        suite, sums = _suite(matrix, guest, some)
        suites.append(suite)
        total.update(sums)
    _count(suites, total, sum(entry.seconds for entry in matrix.cells))
    ElementTree.indent(suites, " ")
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _plain(entry: Entry) -> Held:
    measured = entry.state is State.MEASURED
    return Held(entry, Outcome.NEW if measured else Outcome.UNMEASURED)


def _suite(
    matrix: Matrix, guest: str, held: Iterable[Held]
) -> tuple[ElementTree.Element, Counter[str]]:
    suite = ElementTree.Element("testsuite", name=short(guest))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("provenance", provenance(matrix, guest)), ("run", matrix.run.id)):
        ElementTree.SubElement(properties, "property", name=name, value=short(value))
    sums: Counter[str] = Counter()
    seconds = 0.0
    for one in held:
        sums.update(["tests", *_case(suite, one)])
        seconds += one.entry.seconds
    _count(suite, sums, seconds)
    suite.set("timestamp", short(matrix.run.started.partition("+")[0]))
    return suite, sums


def _count(element: ElementTree.Element, sums: Mapping[str, int], seconds: float) -> None:
    for name in SUMS:
        element.set(name, str(sums.get(name, 0)))
    element.set("time", f"{seconds:.3f}")


def _case(suite: ElementTree.Element, one: Held) -> list[str]:
    """Add a cell to its suite; return the sums it counts in, apart from `tests`."""
    entry = one.entry
    name = " ".join(f"{axis}={value}" for axis, value in entry.axes.items())
    case = ElementTree.SubElement(
        suite, "testcase", classname=short(entry.scenario), name=short(name or entry.scenario)
    )
    case.set("time", f"{entry.seconds:.3f}")
    said = _said(case, one)
    numbers = [f"{key} {value:.6g}" for key, value in {**entry.counts, **entry.statistics}.items()]
    lines = [f"verdict {entry.verdict}"] if entry.verdict is not None else []
    if lines or numbers:
        out = ElementTree.SubElement(case, "system-out")
        out.text = "\n".join(map(short, [*lines, *numbers]))
    return said


def _said(case: ElementTree.Element, one: Held) -> list[str]:
    entry = one.entry
    if one.outcome in CONTRADICTS:
        ElementTree.SubElement(case, "failure", message=short(one.sentence), type=one.outcome)
        return ["failures"]
    if one.outcome is Outcome.KNOWN:
        ElementTree.SubElement(case, "skipped", message=short(one.sentence))
        return ["skipped"]
    if entry.state is State.MEASURED:
        return []
    why = short(f"{entry.state}: {entry.why}")
    if entry.state is State.INFRASTRUCTURE:
        ElementTree.SubElement(case, "error", message=why, type=entry.state)
        return ["errors"]
    ElementTree.SubElement(case, "skipped", message=why)
    return ["skipped"]
