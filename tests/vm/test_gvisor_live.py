"""gVisor for real: the providers' contract, whole runs, and what its kernel answers."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from live_command import Here
from provider_contract import ProviderContract, TransportContract, left_of

from harness import guests
from harness.claims import CLAIMS, Standing, settle
from harness.deadline import Deadline
from harness.errors import NotRunError
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.matrix import Entry, Matrix
from harness.model import Guest, State
from harness.protocols import Transport
from harness.providers.gvisor import program, sandbox
from harness.providers.gvisor.provider import GvisorProvider
from harness.providers.workshop import Workshop

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("gvisor")]

RELEASES = ("gvisor-20221219", "gvisor-newest")

NOBODY = 65534

DOUBTFUL = 3
"""How many cells may be inconclusive: as in test_run_live.py, and gVisor is slower."""


@pytest.fixture(scope="module", params=RELEASES)
def guest(request: pytest.FixtureRequest) -> Guest:
    """A gVisor that works here; else skip with the reason."""
    found = guests.load([guests_folder()])[str(request.param)]
    workshop = Workshop(Places.of_user(), lambda name: Path(os.devnull))
    try:
        with GvisorProvider(workshop).boot(found, Deadline(300)):
            return found
    except NotRunError as exc:
        pytest.skip(f"{found.name}: {exc}")


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let `runsc` keep its state in a folder of this test, which other users may pass through."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o711)
        monkeypatch.setattr(sandbox, "TEMPORARY", (name,))
        yield Path(name)


@pytest.fixture
def workshop(tmp_path: Path, temporary: Path) -> Workshop:
    places = Places(Places.of_user().cache, tmp_path / "state")
    return Workshop(places, lambda name: tmp_path / name / "console.log")


class TestGvisorProvider(ProviderContract):
    """A sandbox of each release."""

    @pytest.fixture
    def provider(self, workshop: Workshop) -> GvisorProvider:
        return GvisorProvider(workshop)

    @pytest.fixture
    def left(self, workshop: Workshop, temporary: Path) -> Callable[[], Sequence[str]]:
        return lambda: [*left_of(workshop.places), *map(str, temporary.iterdir())]


class TestGvisor(TransportContract):
    """Commands in a sandbox of each release."""

    @pytest.fixture
    def transport(self, workshop: Workshop, guest: Guest) -> Iterator[Transport]:
        with GvisorProvider(workshop).boot(guest, Deadline(300)) as made:
            yield made

    @pytest.fixture
    def folder(self, transport: Transport) -> str:
        made = "/tmp/contract"
        assert transport.run(["mkdir", made], timeout=30).status == 0
        return made

    def test_a_pushed_file_is_whole_and_private(self, transport: Transport, folder: str) -> None:
        if b"Invalid argument" in transport.run(["ls", "-l", folder], timeout=30).stderr:
            pytest.skip("this release's statx() answers EINVAL to ls (coreutils 9)")
        super().test_a_pushed_file_is_whole_and_private(transport, folder)


def test_processes_of_several_commands_live_together(workshop: Workshop, guest: Guest) -> None:
    with GvisorProvider(workshop).boot(guest, Deadline(300)) as transport:
        began = transport.run(["sh", "-c", "sleep 60 >&- 2>&- & echo $!"], timeout=30)
        pid = began.stdout.decode().strip()
        assert transport.run(["kill", "-0", pid], timeout=30).status == 0
        said = transport.run(["uname", "-sr"], timeout=30).stdout.decode()
    assert said.startswith("Linux 4."), "it says that it is Linux"
    assert transport.provenance["system"] == "gVisor"
    assert transport.provenance["release"][:8].isdecimal()


def test_what_happens_in_it_stays_in_it(workshop: Workshop, guest: Guest, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with GvisorProvider(workshop).boot(guest, Deadline(300)) as transport:
        transport.push(b"x", f"/tmp/{mark.parent.name}-mark", timeout=30)
        assert transport.run(["ls", "/sys/class/net"], timeout=30).stdout.split() in ([b"lo"], [])
    assert not Path(f"/tmp/{mark.parent.name}-mark").exists()


def test_an_ordinary_user_can_make_one(guest: Guest, tmp_path: Path) -> None:
    """Rootless: from a copy of the program, because the cache belongs to another user."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user here; everything else runs as that already")
    assert guest.gvisor is not None
    runsc = program.choose(guest.gvisor, Places.of_user(), Deadline(300))
    code = (
        "import sys; from pathlib import Path; from harness.deadline import Deadline; "
        "from harness.machine.places import Places; from harness.model import *; "
        "from harness.model.guest import Gvisor; "
        "from harness.providers.gvisor.provider import GvisorProvider; "
        "from harness.providers.workshop import Workshop\n"
        "own = Path(sys.argv[1])\n"
        "guest = Guest('g', 'gVisor', AgentSource(target='host'), "
        "gvisor=Gvisor(path=str(own / 'runsc')))\n"
        "workshop = Workshop(Places(own / 'c', own / 's'), lambda name: own / 'log')\n"
        "with GvisorProvider(workshop).boot(guest, Deadline(60)) as live:\n"
        "    print(live.run(['id', '-u'], timeout=30).stdout, dict(live.provenance)['rootless'])\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        own = Path(name)
        shutil.copy(runsc.path, own / "runsc")
        (own / "runsc").chmod(0o755)
        os.chown(own, NOBODY, NOBODY)
        words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": name}
        tried = subprocess.run(
            [*words, sys.executable, "-c", "import harness.providers.gvisor.provider"],
            env=environment,
            capture_output=True,
            check=False,
        )
        if tried.returncode != 0:
            pytest.skip("another user cannot read this Python or this checkout")
        done = subprocess.run(
            [*words, sys.executable, "-c", code, name],
            env=environment,
            capture_output=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"b'0\\n' yes\n"


class Measured:
    """A quick run of every release that works here."""

    def __init__(self, here: Here, names: Sequence[str]) -> None:
        self.here = here
        self.ended = here("run", *names, "--quick", "--out", "run")
        assert self.ended.status == 0, self.ended.err
        self.matrix: Matrix = here.matrix()

    def cells(self, guest: str, scenario: str, **axes: str) -> list[Entry]:
        """Return a guest's cells at these axes."""
        return [
            cell
            for cell in self.matrix.by_guest[guest]
            if cell.scenario == scenario and axes.items() <= cell.axes.items()
        ]


@pytest.fixture(scope="module")
def run(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return Measured(Here(tmp_path_factory.mktemp("gvisor")), [guest.name])


def test_every_cell_of_a_run_is_answered(run: Measured, guest: Guest) -> None:
    states = [cell.state for cell in run.matrix.by_guest[guest.name]]
    assert states.count(State.MEASURED) > len(states) / 2
    assert states.count(State.INFRASTRUCTURE) == states.count(State.NOT_RUN) == 0
    assert states.count(State.INCONCLUSIVE) <= DOUBTFUL
    assert run.here.left() == []
    assert not list(Path("/tmp").glob("reuseport-matrix-*/systrap"))


def test_its_answers_are_gvisors_and_the_record_keeps_both_names(
    run: Measured, guest: Guest
) -> None:
    about = run.matrix.guests[guest.name]
    said = about["facts"]
    assert isinstance(said, dict)
    assert (said["sysname"], about["system"]) == ("Linux", "gVisor")
    assert (said["release"], str(about["release"])[:2]) == ("4.4.0", "20")
    for finding in settle(CLAIMS, [run.matrix]):
        assert finding.standing is Standing.NOT_TESTED, finding.claim.id
    assert "gvisor" not in run.here("report", "run", "--format", "header").out.lower()


def test_the_remote_host_behind_a_tun_device_works(run: Measured, guest: Guest) -> None:
    """No ioctl sets an address there; netlink does."""
    cells = run.cells(guest.name, "failure-handshake", option="reuseport")
    assert cells
    assert {cell.state for cell in cells} <= {State.MEASURED, State.INCONCLUSIVE}
    assert State.MEASURED in {cell.state for cell in cells}


def test_a_member_that_leaves_moves_those_behind_it_up(run: Measured, guest: Guest) -> None:
    """Of four listeners, 1/3 of the survivors' flows move if the first or the last leaves, and 1/9
    if one in the middle does; on Linux 2/3 if the first does (gvisor pkg/tcpip/stack, the list of a
    multiPortEndpoint; a hash is scaled to its length).

    With 150 flows, a standard deviation is at most 0.04.
    """
    for member, share in (("first", 1 / 3), ("middle", 1 / 9), ("last", 1 / 3)):
        wanted = {"change": "leave", "member": member, "option": "reuseport", "protocol": "tcp"}
        cells = run.cells(guest.name, "failure-flows", **wanted)
        assert cells
        for cell in cells:
            moved = cell.counts["survivors_moved"] / cell.counts["survivors_total"]
            assert abs(moved - share) < (0.04 if "peer" in cell.axes else 0.16), (cell.axes, moved)
