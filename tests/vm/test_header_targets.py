"""The C header and its sample: they compile without warnings, and are right for this kernel."""

from pathlib import Path

import pytest
from live_command import Here
from sanitized_agent import STRICT, compiled, zig
from test_agent_targets import TARGETS
from test_formats import CHOOSE, QUEUED, built, says
from test_report import matrix, word

from harness.matrix import Facts, Matrix
from harness.model import State
from harness.report import header

PLUS = ("-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-xc++")

ALSO = ("x86-linux-musl", "arm-linux-musleabihf")
"""A `long` of 32 bits holds every release, too; the agent is not built for these."""


def everywhere() -> Matrix:
    """Two releases of every system in the header, so that no system compiles an empty table."""
    facts: dict[str, Facts] = {
        f"{system}-{release}": {"system": system, "release": release}
        for system in header.SYSTEMS
        for release in ("1.0", "9999.9999-x")
    }
    said = {"1.0": "reset", "9999.9999-x": "inherited"}
    cells = {(guest, QUEUED): word(said[str(known["release"])]) for guest, known in facts.items()}
    return matrix(cells, **facts)


@pytest.mark.vm
@pytest.mark.parametrize("target", [*TARGETS, *ALSO])
def test_the_header_is_compiled_without_a_warning(target: str, tmp_path: Path) -> None:
    (tmp_path / "reuseport_matrix.h").write_text(header.render(everywhere()))
    only = ["-c", "-o", str(tmp_path / "object"), f"-I{tmp_path}", str(CHOOSE)]
    compiled([*zig(target), *STRICT, *only], tmp_path)
    if "openbsd" not in target:  # Zig has no C++ library for it, and none is needed
        compiled([*zig(target), *PLUS, *only], tmp_path)


@pytest.mark.vm
def test_the_sample_says_of_this_kernel_what_was_measured(tmp_path: Path) -> None:
    here = Here(tmp_path)
    ended = here("run", "host", "--quick", "--scenario", "distribution", "--out", "run")
    assert ended.status == 0, ended.err
    one = here.matrix()
    words = {
        cell.verdict
        for cell in one.cells
        if cell.state is State.MEASURED
        and {"option": "reuseport", "protocol": "tcp"}.items() <= cell.axes.items()
        and not cell.axes.keys() & {"peer", "tunables"}
    }
    said = "mixed" if len(words) > 1 else words.pop()
    assert f"  SO_REUSEPORT: {said}\n" in says(built(tmp_path, one))
