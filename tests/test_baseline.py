"""A run against a baseline: agreement, differences, excuses, and excuses no longer needed."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from cost import cheap
from junitparser import JUnitXml, TestSuite
from test_report import HOSTILE, cell, matrix, word

from harness.errors import FileError
from harness.matrix import Matrix, encode
from harness.matrix.baseline import Baseline, Held, KnownDifference, Outcome, Rule, hold
from harness.model import Judgement, State
from harness.report import junit
from harness.report.report import Report
from harness.run.baseline_file import load_baseline

TODAY = date(2026, 11, 23)

HERE = {"ipv4": cell("ipv4"), "ipv6": cell("ipv6")}


def run(**words: str | State) -> Matrix:
    """Return a run of guest `a`, a Linux, with a result for each family."""
    return matrix({("a", HERE[family]): judgement(said) for family, said in words.items()})


def judgement(said: str | State) -> Judgement:
    return Judgement(said, why="because") if isinstance(said, State) else word(said)


def known(**more: object) -> KnownDifference:
    fields = {"scenario": "distribution", "verdict": "newest", "reason": "a bug", **more}
    expires = fields.pop("expires", date(2026, 12, 1))
    assert isinstance(expires, date)
    return KnownDifference(**fields, expires=expires)  # type: ignore[arg-type]


def outcomes(found: Matrix, baseline: Baseline) -> dict[str, Outcome]:
    verdict = hold(found, baseline, TODAY)
    return {one.entry.axes["family"]: one.outcome for one in verdict.held}


def test_a_matrix_is_a_baseline_of_words() -> None:
    before = Baseline(run(ipv4="reset:1/4", ipv6="balanced"))
    assert outcomes(run(ipv4="reset:3/4", ipv6="newest"), before) == {
        "ipv4": Outcome.AGREES,
        "ipv6": Outcome.DIFFERS,
    }
    assert outcomes(run(ipv4=State.INCONCLUSIVE), before) == {"ipv4": Outcome.UNMEASURED}
    assert outcomes(run(ipv4="x"), Baseline(run(ipv6="y"))) == {"ipv4": Outcome.NEW}
    (one,) = hold(run(ipv6="newest"), before, TODAY).contradictions
    assert one.sentence.endswith("family=ipv6 bind=specific: balanced before, newest now")


@pytest.mark.parametrize("guest", ["a", "linux", "*", "lin*"])
def test_a_known_difference_is_no_contradiction_until_it_expires(guest: str) -> None:
    before = run(ipv4="balanced", ipv6="balanced")
    now = run(ipv4="newest", ipv6="balanced")
    excused = Baseline(before, known=(known(guest=guest),))
    assert outcomes(now, excused) == {"ipv4": Outcome.KNOWN, "ipv6": Outcome.AGREES}
    late = Baseline(before, known=(known(guest=guest, expires=date(2026, 11, 22)),))
    assert outcomes(now, late) == {"ipv4": Outcome.EXPIRED, "ipv6": Outcome.AGREES}
    last = Baseline(before, known=(known(guest=guest, expires=TODAY),))
    assert outcomes(now, last)["ipv4"] is Outcome.KNOWN


def test_an_excuse_is_for_its_own_word_axes_and_guest() -> None:
    before, now = run(ipv4="balanced"), run(ipv4="newest")
    for other in ({"verdict": "oldest"}, {"axes": {"family": "ipv6"}}, {"guest": "freebsd"}):
        found = hold(now, Baseline(before, known=(known(**other),)), TODAY)
        assert [one.outcome for one in found.held] == [Outcome.DIFFERS]
    several = Baseline(before, known=(known(verdict=("oldest", "newest")),))
    assert outcomes(now, several) == {"ipv4": Outcome.KNOWN}


def test_agreement_that_was_not_expected_is_said() -> None:
    same = run(ipv4="balanced", ipv6="balanced")
    found = hold(same, Baseline(same, known=(known(),)), TODAY)
    assert {one.outcome for one in found.contradictions} == {Outcome.UNEXPECTED}
    assert "remove its known difference (a bug; until 2026-12-01)" in found.held[0].sentence


def test_an_excuse_that_meets_no_cell_is_named() -> None:
    unused = known(guest="freebsd", axes={"family": "ipv4"})
    found = hold(run(ipv4="x"), Baseline(run(ipv4="x"), known=(unused,)), TODAY)
    assert [one.label for one in found.unused] == ["freebsd distribution family=ipv4: newest"]


def test_words_can_be_expected_by_hand_the_last_line_counts() -> None:
    rules = (
        Rule("distribution", "balanced", "linux"),
        Rule("distribution", ("newest", "oldest"), axes={"family": "ipv6"}),
    )
    assert outcomes(run(ipv4="balanced", ipv6="newest"), Baseline(expect=rules)) == {
        "ipv4": Outcome.AGREES,
        "ipv6": Outcome.AGREES,
    }
    assert outcomes(run(ipv6="balanced"), Baseline(expect=rules)) == {"ipv6": Outcome.DIFFERS}


GOOD = """\
schema: 1
matrix: before.json
known:
  - guest: linux
    scenario: distribution
    axes: {family: ipv4}
    verdict: [newest, oldest]
    reason: a bug that is being mended
    expires: 2026-12-01
"""


def written(folder: Path, text: str) -> Path:
    (folder / "before.json").write_bytes(encode(run(ipv4="balanced")))
    path = folder / "expected.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_with_its_matrix_beside_it(tmp_path: Path) -> None:
    found = load_baseline(written(tmp_path, GOOD))
    assert found.matrix == run(ipv4="balanced")
    assert found.known == (
        KnownDifference(
            scenario="distribution",
            verdict=("newest", "oldest"),
            guest="linux",
            axes={"family": "ipv4"},
            reason="a bug that is being mended",
            expires=date(2026, 12, 1),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("schema: 1", "schema: 2", 1, "schema: 1"),
        ("schema: 1\n", "", 1, "schema: 1"),
        ("schema: 1", "schema: 1\nknwon: []", 2, "unknown key `knwon`"),
        ("2026-12-01", "soon", 9, "`expires`"),
        ("2026-12-01", "2026-13-01", 9, "2026-13-01"),
        ("    expires: 2026-12-01\n", "", 4, "expires"),
        ("    reason: a bug that is being mended\n", "", 4, "reason"),
        ("scenario: distribution", "scenario: distributoin", 5, "no scenario"),
        ("axes: {family: ipv4}", "axes: [family]", 6, "`axes`"),
        ("axes:", "axis:", 6, "axis"),
        ("known:\n", "known: 1\nexpect:\n", 3, "`known` must be a list"),
        ("matrix: before.json\n", "", 1, "the file expects no verdict"),
        ("matrix: before.json", "matrix: [x]", 2, "path"),
        ("before.json", "nowhere.json", None, "nowhere.json"),
        ("matrix: before.json", "matrix: &a before.json\nexpect: *a", 3, "aliases"),
        (GOOD, "", 1, "is empty"),
        (GOOD, "- 1", 1, "expected a mapping"),
        (GOOD, "x: " + "y" * (1 << 20), None, "larger than"),
        (GOOD, "a: \0", None, "not YAML"),
    ],
)
def test_a_fault_is_said_with_its_line(
    tmp_path: Path, old: str, new: str, where: int | None, said: str
) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(FileError) as caught:
        load_baseline(path)
    assert said in str(caught.value)
    if where is not None:
        assert str(caught.value).startswith(f"{path}:{where}: ")


def document(report: Report) -> JUnitXml:
    return JUnitXml.fromstring(junit.render(report).encode())


def results_of(report: Report) -> Mapping[str, list[str]]:
    """Return each cell's result in the document, by family."""
    (suite,) = document(report)
    assert isinstance(suite, TestSuite)
    return {
        case.name.split("family=")[1][:4]: [type(r).__name__ for r in case.result] for case in suite
    }


@pytest.mark.parametrize(
    ("said", "results"),
    [
        ("balanced", []),
        (State.INFRASTRUCTURE, ["Error"]),
        (State.NOT_RUN, ["Skipped"]),
        (State.NOT_APPLICABLE, ["Skipped"]),
        (State.INCONCLUSIVE, ["Skipped"]),
    ],
)
def test_a_state_is_a_result_and_without_a_baseline_no_test_fails(
    said: str | State, results: list[str]
) -> None:
    assert results_of(Report(run(ipv4=said))) == {"ipv4": results}


def test_what_contradicts_a_baseline_fails() -> None:
    now = run(ipv4="newest", ipv6="newest")
    baseline = Baseline(run(ipv4="balanced", ipv6="newest"))
    report = Report(now, held=hold(now, baseline, TODAY))
    assert results_of(report) == {"ipv4": ["Failure"], "ipv6": []}
    assert "balanced before, newest now" in junit.render(report)
    excused = Baseline(baseline.matrix, known=(known(axes={"family": "ipv4"}),))
    assert results_of(Report(now, held=hold(now, excused, TODAY)))["ipv4"] == ["Skipped"]


def test_the_sums_are_those_of_the_suites_and_of_the_cells() -> None:
    now = matrix(
        {
            ("a", HERE["ipv4"]): word("newest"),
            ("a", HERE["ipv6"]): judgement(State.INFRASTRUCTURE),
            ("b", HERE["ipv4"]): judgement(State.NOT_RUN),
        }
    )
    before = matrix({("a", HERE["ipv4"]): word("balanced")})
    xml = document(Report(now, held=hold(now, Baseline(before), TODAY)))
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == (3, 1, 1, 1)
    sums = {suite.name: (suite.tests, suite.failures, suite.errors, suite.skipped) for suite in xml}
    assert sums == {"a": (2, 1, 1, 0), "b": (1, 0, 0, 1)}
    assert {len(list(suite)) for suite in xml} == {2, 1}


def test_nothing_a_guest_says_breaks_the_document() -> None:
    now = matrix(
        {
            ("a", cell(case=HOSTILE)): Judgement(State.INCONCLUSIVE, why=HOSTILE),
            (HOSTILE, cell()): word(HOSTILE),
        },
        a={"system": HOSTILE, "release": HOSTILE},
    )
    text = junit.render(Report(now))
    assert all(character.isprintable() or character == "\n" for character in text)
    root = ElementTree.fromstring(text)
    assert len(root.findall("testsuite/testcase")) == 2
    assert not root.findall(".//script")


def test_ten_thousand_cells_take_less_than_a_second() -> None:
    now = matrix(
        {(f"guest-{at % 10}", cell(number=str(at))): word("balanced") for at in range(10_000)}
    )
    baseline = Baseline(now, known=(known(),))
    text = cheap(lambda: junit.render(Report(now, held=hold(now, baseline, TODAY))), 1)
    assert text.count("<testcase") == 10_000


def test_every_outcome_has_a_sentence() -> None:
    (entry,) = run(ipv4="newest").cells
    for outcome in Outcome:
        assert Held(entry, outcome, "balanced", known()).sentence
