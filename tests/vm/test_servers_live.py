"""`run` with servers: one of one's own, one of Debian's packages, here and in a guest."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from live_command import Here, need_guest

from harness.model import State
from harness.providers.packages import mirror

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("servers")]

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"

needs_apt = pytest.mark.skipif(mirror.refusal() is not None, reason="no apt here, or not amd64")


def example() -> str:
    """Return the server file that docs/servers.md shows."""
    (found,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_server_in_the_documentation_is_restarted(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text(example())
    here = Here(tmp_path)
    ended = here("run", "host", "--servers", "mine", "--quick", "--out", "run")
    assert ended.status == 0, ended.err
    (cell,) = here.matrix().cells
    assert cell.state is State.MEASURED, cell.why
    # It is killed before the next one starts, so nobody listens in between.
    assert (cell.verdict or "").partition(":")[0] in ("refused", "reset", "down")
    assert cell.counts["restarts"] >= 2
    assert here.left() == []
    assert not [one for one in here.processes() if "server.py" in one]


@needs_apt
@pytest.mark.parametrize("guest", ["host", "linux-6.1"])
def test_a_server_of_debian_is_restarted(tmp_path: Path, guest: str) -> None:
    if guest != "host":
        need_guest(guest)
    here = Here(tmp_path)
    ended = here("run", guest, "--server", "haproxy", "--quick", "--out", "run")
    assert ended.status == 0, ended.err
    (cell,) = here.matrix().cells
    # On a guest that is emulated and shares its CPU, a restart may be too slow to be judged.
    assert cell.state in (State.MEASURED, State.INCONCLUSIVE), cell.why
    assert cell.counts["restarts"] >= 1
    provenance = here.matrix().guests[guest]["provenance"]
    assert isinstance(provenance, Mapping)
    assert provenance["servers_suite"] == "bookworm"
    assert "haproxy" in (tmp_path / "run" / "report.html").read_text()


@needs_apt
def test_a_package_that_the_suite_lacks_and_a_server_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    common = "protocol: http\nways: {reload: [signal HUP main]}\n"
    for name, more in (
        ("missing", "packages: [surely-no-such-package]\nstart: exec true\n"),
        ("dies", "start: echo 'a mistake in line 7' >&2; exit 3\n"),
        ("lacks", "programs: [surely-no-such-program]\nstart: exec true\n"),
    ):
        text = f"name: {name}\ntitle: a bad one\n{common}{more}"
        (tmp_path / "mine" / f"{name}.yaml").write_text(text)
    here = Here(tmp_path)
    ended = here("run", "host", "--servers", "mine", "--quick", "--out", "run")
    assert ended.status == 0, ended.err
    found = {cell.axes["server"]: cell for cell in here.matrix().cells}
    assert found["missing"].state is State.NOT_APPLICABLE
    assert "no package surely-no-such-package" in (found["missing"].why or "")
    assert found["lacks"].state is State.NOT_APPLICABLE
    assert "no surely-no-such-program here" in (found["lacks"].why or "")
    assert found["dies"].state is State.INCONCLUSIVE
    assert "it said: a mistake in line 7" in (found["dies"].why or "")
