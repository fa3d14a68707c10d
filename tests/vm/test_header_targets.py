"""The C header and its sample: for every system without a warning, in C99 and in C++."""

from pathlib import Path

import pytest
from sanitized_agent import STRICT, compiled, zig
from test_agent_targets import TARGETS
from test_formats import CHOOSE, QUEUED, kernels

from harness.report import header

PLUS = ("-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-xc++")


@pytest.mark.vm
@pytest.mark.parametrize("target", TARGETS)
def test_the_header_is_compiled_without_a_warning(target: str, tmp_path: Path) -> None:
    one = kernels({"6.1": "reset", "6.12": "inherited"})
    (tmp_path / "reuseport_matrix.h").write_text(header.render(one))
    assert QUEUED.scenario in header.render(one)
    only = ["-c", "-o", str(tmp_path / "object"), f"-I{tmp_path}", str(CHOOSE)]
    compiled([*zig(target), *STRICT, *only], tmp_path)
    if "openbsd" not in target:  # Zig brings no C++ library for it, nor is one needed
        compiled([*zig(target), *PLUS, *only], tmp_path)
