"""CSV, compatibility data and the C header: only measurements, and no harm from guests' texts."""

import csv
import io
import json
import platform
import re
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
    """Return guests named after their releases, with the result of each for one cell."""
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


FORMULAE = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\N{FULLWIDTH EQUALS SIGN}1")


@pytest.mark.parametrize("text", [*FORMULAE, "{\x1b[31m", HOSTILE])
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


def test_a_release_that_is_not_known_is_in_no_range_and_reasons_stand_apart() -> None:
    one = matrix(
        {(name, QUEUED): word("reset") for name in "abc"},
        a={"system": "Linux"},
        b={"system": "Linux", "release": "6.1"},
        c={"system": "Linux", "release": "6.2"},
    )
    assert spans(one) == [(None, None, "reset"), ("6.1", "6.2", "reset")]
    reasons = {name: Judgement(State.INCONCLUSIVE, why=f"because of {name}") for name in "ab"}
    two = matrix({(name, QUEUED): why for name, why in reasons.items()})
    (support,) = compatibility.compatibility(two).behaviours[QUEUED.scenario].supports
    assert [found.why for found in support.support["Linux"]] == ["because of a", "because of b"]


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
    shares = {"ipv4": "reset:20/100", "ipv6": "reset:27/100", "mapped": "reset:75/100"}
    one = matrix({("a", cell(family)): word(said) for family, said in shares.items()})
    near, far = compatibility.compatibility(one).behaviours["distribution"].supports
    assert (near.axes["family"], far.axes["family"]) == (("ipv4", "ipv6"), ("mapped",))
    assert near.support["Linux"][0].share == (0.2, 0.27)
    assert far.support["Linux"][0].share == (0.75, 0.75)


def moved(count: int) -> Judgement:
    """Return a cell of `failure-flows` in which this many of 150 survivors' flows moved."""
    counts, share = {"survivors_moved": count, "survivors_total": 150}, count / 150
    return Judgement(
        State.MEASURED, "reshuffled", counts=counts, statistics={"moved_of_survivors": share}
    )


def test_a_share_that_moves_by_more_than_chance_begins_a_new_range() -> None:
    """On Linux half of the survivors' flows move up to 4.4, and a tenth from 4.9 on."""
    one = Cell.at("failure-flows", option="reuseport", member="middle")
    said = {"3.10.1": 83, "4.4.1": 80, "4.9.1": 16, "5.10.1": 21}
    facts: dict[str, Facts] = {
        f"g{release}": {"system": "Linux", "release": release} for release in said
    }
    cells = {(f"g{release}", one): moved(count) for release, count in said.items()}
    found = compatibility.compatibility(matrix(cells, **facts)).behaviours["failure-flows"]
    old, new = found.supports[0].support["Linux"]
    assert (old.first, old.last, old.share) == ("3.10.1", "4.4.1", (0.5333, 0.5533))
    assert (new.first, new.last, new.share) == ("4.9.1", "5.10.1", (0.1067, 0.14))


def test_the_data_is_what_its_schema_says_and_the_schema_is_fresh() -> None:
    published = (ROOT / "docs" / "compatibility.schema.json").read_bytes()
    assert published == compatibility.published()
    text = compatibility.render(kernels({"6.1": "reset:1/4", "6.2": State.NOT_APPLICABLE}))
    jsonschema.validate(json.loads(text), json.loads(published))


ASK = """
#include "reuseport_matrix.h"
#include <stdio.h>
int main(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++)
        printf("%s %s\\n", rpm_text(rpm_answer(RPM_QUEUE_AT_KILL, RPM_REUSEPORT, argv[i])),
               rpm_text(rpm_nearest(RPM_QUEUE_AT_KILL, RPM_REUSEPORT, argv[i])));
    return 0;
}
"""


def built(folder: Path, one: Matrix, source: Path = CHOOSE) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: `doctor --install --with tests` installs one")
    if platform.system() not in header.SYSTEMS:
        pytest.skip(f"{platform.system()} is no system of the header")
    (folder / "reuseport_matrix.h").write_text(header.render(one))
    program = folder / source.stem
    argv = [compiler, *STRICT, f"-I{folder}", "-o", str(program), str(source)]
    subprocess.run(argv, check=True, capture_output=True)
    return program


def says(program: Path, *releases: str) -> str:
    argv = [str(program), *releases]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def asked(folder: Path, said: Mapping[str, str | State], *releases: str) -> list[str]:
    """Return the answers and the nearest answers to QUEUE_AT_KILL, as a C program gets them."""
    source = folder / "ask.c"
    source.write_text(ASK)
    program = built(folder, kernels(said, system=platform.system()), source)
    return says(program, *releases).splitlines()


def test_a_program_knows_what_was_measured_what_is_beyond_and_what_lies_between(
    tmp_path: Path,
) -> None:
    said = {"5.10.9": "reset", "6.1.0-50": "reset", "6.9": State.INCONCLUSIVE, "6.12": "inherited"}
    answers = {
        "5.9.16": "beyond reset",
        "5.10.0-8-amd64": "reset reset",
        "5.15": "reset reset",
        "6.1.112": "reset reset",
        "6.2": "unknown unknown",
        "6.9.1": "unknown unknown",
        "6.12.5-RELEASE": "inherited inherited",
        "6.120": "beyond inherited",
        "10.1": "beyond inherited",
        "99999.1": "unknown unknown",
        "6": "unknown unknown",
        "": "unknown unknown",
        "-6.1": "unknown unknown",
    }
    assert asked(tmp_path, said, *answers) == list(answers.values())


def test_a_program_knows_nothing_of_a_system_that_was_not_measured(tmp_path: Path) -> None:
    other = next(name for name in header.SYSTEMS if name != platform.system())
    (tmp_path / "ask.c").write_text(ASK)
    program = built(tmp_path, kernels({"6.1": "reset"}, system=other), tmp_path / "ask.c")
    assert says(program, "6.1", "7.0").split() == ["unknown"] * 4


def test_the_sample_says_what_was_measured(tmp_path: Path) -> None:
    system = platform.system()
    one = kernels({"6.1": "reset", "6.12": "inherited"}, system=system)
    spread = kernels({"6.1": "balanced", "6.12": "balanced"}, SPREAD, system)
    program = built(tmp_path, Matrix(1, one.run, one.guests, (*one.cells, *spread.cells)))
    assert "spread connections: SO_REUSEPORT\n" in says(program, "6.1.0-50-cloud-amd64")
    assert "its queue: reset\n" in says(program, "6.1.112")
    assert "a worker may simply end" in says(program, "6.12.4")
    assert "its queue: beyond what was measured; the nearest: inherited\n" in says(program, "7.0")
    assert "none that was measured" in says(program, "nonsense")


def test_the_sample_says_of_this_kernel_what_its_matrix_says(tmp_path: Path) -> None:
    here = {platform.release(): "inherited"}
    program = built(tmp_path, kernels(here, system=platform.system()))
    assert "its queue: inherited\n" in says(program)


def test_the_header_alone_is_without_a_warning_in_c_and_cpp(tmp_path: Path) -> None:
    one = kernels({"6.1": "reset"}, system=platform.system())
    (tmp_path / "alone.c").write_text('#include "reuseport_matrix.h"\nint main(void){return 0;}\n')
    built(tmp_path, one, tmp_path / "alone.c")
    plus = shutil.which("c++")
    if plus is None:
        pytest.skip("no C++ compiler here; the C part passed")
    options = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{tmp_path}", "-xc++"]
    argv = [plus, *options, "-c", "-o", str(tmp_path / "object"), str(CHOOSE)]
    subprocess.run(argv, check=True, capture_output=True)


EVIL = (
    '*/ int main(void){return 1;} /* " \\\n#error x',
    "*/\n#include </etc/passwd>\n/*",
    "??/\n??-//*",
    HOSTILE,
    "x" * 100_000,
)


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_nothing_a_guest_says_is_code(evil: str, tmp_path: Path) -> None:
    system = platform.system()
    facts: Facts = {"system": system, "release": f"6.1{evil}"}
    cells = {(evil, QUEUED): word(evil), (evil, SPREAD): word("balanced")}
    one = matrix(cells, **{evil: facts})
    plain = header.render(matrix({("a", SPREAD): word("balanced")}, a={**facts, "release": "6.1"}))
    text = header.render(one)
    assert without_comments(text) == without_comments(plain)
    assert len(text) < 2 * len(plain)
    assert "balanced" in says(built(tmp_path, one), "6.1")


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def test_same_matrix_same_bytes() -> None:
    one = kernels({"6.1": "reset", "6.12": "inherited"})
    again: list[Entry] = list(reversed(one.cells))
    for render in (header.render, compatibility.render):
        assert render(one) == render(one)
    turned = Matrix(1, one.run, dict(reversed([*one.guests.items()])), tuple(again))
    assert header.render(turned) == header.render(one)
    decoded = msgspec.json.decode(compatibility.render(turned))
    assert decoded == msgspec.json.decode(compatibility.render(one))
