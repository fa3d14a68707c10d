"""CSV, compatibility data and the C header: only what was measured, whatever a guest calls it."""

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import msgspec
import pytest
from test_report import HOSTILE, cell, matrix, word

from harness.matrix import Entry, Facts, Matrix
from harness.model import Cell, Judgement, State
from harness.report import compatibility, header, table

ROOT = Path(__file__).parent.parent

CHOOSE = ROOT / "docs" / "examples" / "choose.c"

STRICT = ("-std=c99", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-pedantic")

QUEUED = Cell.at(
    "failure-queued", option="reuseport", protocol="tcp", family="ipv4", bind="specific",
    failure="kill",
)  # fmt: skip

SPREAD = Cell.at("distribution", option="reuseport", protocol="tcp", family="ipv4", bind="specific")


def kernels(said: Mapping[str, str | State], one: Cell = QUEUED, system: str = "Linux") -> Matrix:
    """Guests named after their releases, and what each says of a cell."""
    facts: dict[str, Facts] = {
        f"g{release}": {"system": system, "release": release} for release in said
    }
    return matrix(
        {
            (f"g{release}", one): word(given)
            if not isinstance(given, State)
            else Judgement(given, why="because")
            for release, given in said.items()
        },
        **facts,
    )


def rows(one: Matrix) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.render(one))))


def test_a_row_of_csv_says_all_of_a_cell() -> None:
    found = rows(kernels({"6.1": "reset:1/4"}))
    assert len(found) == 1
    said = {name: found[0][name] for name in ("guest", "release", "failure", "verdict", "word")}
    assert said == {
        "guest": "g6.1",
        "release": "6.1",
        "failure": "kill",
        "verdict": "reset:1/4",
        "word": "reset",
    }
    assert found[0]["share"] == "0.25"
    assert json.loads(found[0]["counts"]) == {"member_0": 100}
    assert tuple(found[0]) == table.COLUMNS


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", HOSTILE])
def test_csv_holds_no_formula_and_no_control_character(text: str) -> None:
    (one,) = rows(matrix({(text, cell(case=text)): Judgement(State.INCONCLUSIVE, why=text)}))
    assert not one["guest"].startswith(table.ACTIVE)
    assert not one["why"].startswith(table.ACTIVE)
    assert all(map(str.isprintable, one.values()))
    assert json.loads(one["axes"]) == {"case": text}


def spans(one: Matrix, system: str = "Linux") -> list[tuple[object, ...]]:
    (behaviour,) = compatibility.compatibility(one).behaviours.values()
    (support,) = behaviour.supports
    return [(got.first, got.last, got.verdict or got.state) for got in support.support[system]]


def test_neighbours_that_say_the_same_are_one_range() -> None:
    said = {"6.9.1": "reset", "6.12.0": "inherited", "6.10.0": "reset:1/4", "5.10.0": "reset"}
    assert spans(kernels(said)) == [
        ("5.10.0", "6.10.0", "reset"),
        ("6.12.0", "6.12.0", "inherited"),
    ]


def test_a_state_that_is_no_verdict_parts_ranges_and_a_guest_not_run_says_nothing() -> None:
    said = {
        "6.1": "reset",
        "6.2": State.INCONCLUSIVE,
        "6.3": "reset",
        "6.4": State.NOT_RUN,
        "6.5": State.INFRASTRUCTURE,
    }
    assert spans(kernels(said)) == [
        ("6.1", "6.1", "reset"),
        ("6.2", "6.2", State.INCONCLUSIVE),
        ("6.3", "6.3", "reset"),
    ]


def test_points_that_say_the_same_are_one_entry_with_all_their_shares() -> None:
    shares = {"ipv4": "reset:1/4", "ipv6": "reset:3/4"}
    one = matrix({("a", cell(family)): word(said) for family, said in shares.items()})
    (support,) = compatibility.compatibility(one).behaviours["distribution"].supports
    assert support.axes["family"] == ("ipv4", "ipv6")
    assert support.support["Linux"][0].share == (0.25, 0.75)


def test_the_data_is_what_its_schema_says_and_the_schema_is_fresh() -> None:
    published = (ROOT / "docs" / "compatibility.schema.json").read_bytes()
    assert published == compatibility.published()
    text = compatibility.render(kernels({"6.1": "reset:1/4", "6.2": State.NOT_APPLICABLE}))
    jsonschema.validate(json.loads(text), json.loads(published))


def answers(one: Matrix, *releases: str) -> list[str]:
    """Return the names of the answers to QUEUE_AT_KILL by the rows of the header."""
    found = []
    for release in releases:
        number = tuple(map(int, release.split(".")))
        words = ["RPM_UNKNOWN"]
        for line in header.render(one).splitlines():
            if line.startswith("    {RPM_QUEUE_AT_KILL, RPM_REUSEPORT,"):
                _, _, since, until, said = line.partition("}")[0].split(", ")
                low, high = (
                    tuple(int(part) for part in text.split(" * 100000L + "))
                    for text in (since, until)
                )
                words += [said] if low <= number <= high else []
        found.append(words[-1])
    return found


def test_the_header_knows_what_was_measured_and_what_lies_between_two_that_agree() -> None:
    one = kernels({"6.1.0-50": "reset", "6.9": "reset", "6.12.5": "inherited"})
    assert answers(one, "6.0", "6.1", "6.5", "6.9", "6.10", "6.12", "6.13") == [
        "RPM_UNKNOWN",
        *["RPM_RESET"] * 3,
        "RPM_UNKNOWN",
        "RPM_INHERITED",
        "RPM_UNKNOWN",
    ]


def test_kernels_of_one_release_that_differ_are_mixed() -> None:
    one = kernels({"6.1.2": "reset", "6.1.9": "inherited"})
    assert answers(one, "6.1") == ["RPM_MIXED"]


def test_cells_that_were_not_asked_plainly_say_nothing_in_the_header() -> None:
    tuned = Cell(QUEUED.scenario, (*QUEUED.points, ("tunables", "x=1")))
    assert answers(kernels({"6.1": "reset"}, tuned), "6.1") == ["RPM_UNKNOWN"]
    assert answers(kernels({"6.1": State.INCONCLUSIVE}), "6.1") == ["RPM_UNKNOWN"]


def built(folder: Path, one: Matrix) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: `doctor --install --with tests` installs one")
    (folder / "reuseport_matrix.h").write_text(header.render(one))
    program = folder / "choose"
    argv = [compiler, *STRICT, f"-I{folder}", "-o", str(program), str(CHOOSE)]
    subprocess.run(argv, check=True, capture_output=True)
    return program


def test_the_sample_says_what_was_measured(tmp_path: Path) -> None:
    import platform

    system = platform.system()
    one = kernels({"6.1": "reset", "6.12": "inherited"}, system=system)
    spread = kernels({"6.1": "balanced", "6.12": "balanced"}, SPREAD, system)
    program = built(tmp_path, Matrix(1, one.run, one.guests, (*one.cells, *spread.cells)))
    if system not in header.SYSTEMS:
        pytest.skip(f"{system} is no system of the header")

    def says(release: str) -> str:
        argv = [str(program), release]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    assert "spread connections: SO_REUSEPORT\n" in says("6.1.0-50-cloud-amd64")
    assert "worker's queue: reset" in says("6.1.112")
    assert "siblings accept it" in says("6.12.4")
    assert "not measured here" in says("7.0.0")
    assert "none that was measured" in says("nonsense")


def test_nothing_a_guest_says_is_code(tmp_path: Path) -> None:
    evil = '*/ int main(void){return 1;} /* " \\\n#error x'
    facts: Facts = {"system": "Linux", "release": f"6.1{evil}"}
    cells: dict[tuple[str, Cell], Judgement] = {(evil, QUEUED): word(evil)}
    text = header.render(matrix(cells, **{evil: facts}))
    assert "#error" not in text
    assert text.count("*/") == text.count("/*")
    built(tmp_path, matrix(cells, **{evil: facts}))


def test_same_matrix_same_bytes() -> None:
    one = kernels({"6.1": "reset", "6.12": "inherited"})
    again: list[Entry] = list(reversed(one.cells))
    for render in (header.render, compatibility.render):
        assert render(one) == render(one)
    turned = Matrix(1, one.run, dict(reversed([*one.guests.items()])), tuple(again))
    assert header.render(turned) == header.render(one)
    decoded = msgspec.json.decode(compatibility.render(turned))
    assert decoded == msgspec.json.decode(compatibility.render(one))
