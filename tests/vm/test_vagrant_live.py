"""Real Vagrant, libvirt and a real guest, through the Vagrantfile; nothing is left afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import libvirt_namespace
import psutil
import pytest
import yaml

from harness import guests, leases, matrix
from harness.leases import Lease
from harness.machine.places import NAME, Places
from harness.machine.resources import guests_folder
from harness.model import State

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("vagrant")]

ROOT = Path(__file__).parent.parent.parent

BOX = "reuseport-matrix/linux-box"

BOX_BY_VAGRANT = ("linux-box", "--provider", "vagrant")

SECONDS = 280.0

RUN = ("run", "--provider", "vagrant", "--cold", "--out", "run")


class Inside:
    """Runs commands in the namespaces of the test's libvirtd, with a separate Vagrant folder."""

    def __init__(self, prefix: Sequence[str], folder: Path) -> None:
        self._prefix = prefix
        self.folder = folder
        self.places = Places(Places.of_user().cache, folder / "state" / NAME)
        self.environment = {
            **os.environ,
            "VAGRANT_HOME": str(folder / "vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
        }

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a command inside; its standard error goes to the file `said`."""
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(
                # nsenter(1) changes to the root folder.
                [*self._prefix, "env", "-C", str(self.folder), *argv],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )

    def __call__(self, *argv: str, status: int = 0) -> str:
        """Run a command inside and return its output."""
        with self.start(*argv) as process:
            out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == status, self.said() + out.decode()
        return out.decode()

    def said(self) -> str:
        return (self.folder / "said").read_text(errors="replace")

    def harness(self, *words: str, status: int = 0) -> str:
        """Run `reuseport-matrix`."""
        return self(sys.executable, "-m", "harness", *words, status=status)

    def leases(self) -> tuple[Lease, ...]:
        return leases.leases(self.places)

    def left(self) -> list[str]:
        """Return what is left of guests: domains, networks, volumes except the box's, leases."""
        found = self.virsh("list", "--all", "--name") + self.virsh("net-list", "--all", "--name")
        if "default" in self.virsh("pool-list", "--name"):
            volumes = self.virsh("vol-list", "default")
            found += [
                line for line in volumes if f"{NAME}-" in line.split()[0] and not of_box(line)
            ]
        state = self.places.state
        return found + [str(path) for path in (*state.glob("leases/*"), *state.glob("guests/*"))]

    def virsh(self, *words: str) -> list[str]:
        lines = self("virsh", "--quiet", *words).splitlines()
        return [line.strip() for line in lines if line.strip()]


def of_box(line: str) -> bool:
    return "_vagrant_box_image_" in line


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """Start libvirtd, build the box and add it to Vagrant."""
    missing = shutil.which("vagrant") is None
    reason = "no vagrant here" if missing else libvirt_namespace.refusal()
    if reason is not None:
        pytest.skip(f"{reason} (`reuseport-matrix doctor --install --with vagrant`)")
    folder = tmp_path_factory.mktemp("libvirt")
    own = tmp_path_factory.mktemp("vagrant")
    with libvirt_namespace.running(folder) as prefix:
        made = Inside(prefix, own)
        subprocess.run(
            [sys.executable, str(ROOT / "guests" / "box" / "build.py"), "--add"],
            env=made.environment,
            check=True,
            timeout=SECONDS,
        )
        yield made
        made("vagrant", "box", "remove", "--force", "--all", BOX)
        assert not list((own / "vagrant" / "boxes").glob("*"))
        assert made.left() == []


def guest_file(folder: Path, name: str) -> None:
    """Write a guest file for the box under another name."""
    document = yaml.safe_load((guests_folder() / "linux.yaml").read_text())
    section = document["releases"]["linux-box"]["vagrant"]
    content: Mapping[str, object] = {
        "name": name,
        "system": "Linux",
        "agent": document["agent"],
        "vagrant": section,
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))


def test_the_box_is_measured_through_the_vagrantfile(inside: Inside) -> None:
    inside.harness("run", *BOX_BY_VAGRANT, "--cold", "--quick", "--out", "quick")
    measured = matrix.decode((inside.folder / "quick" / "matrix.json").read_bytes())
    states = {cell.state for cell in measured.cells}
    assert states <= {State.MEASURED, State.NOT_APPLICABLE}
    assert State.MEASURED in states
    guest = inside.folder / "quick" / "guests" / "linux-box"
    provenance = json.loads((guest / "facts.json").read_bytes())["provenance"]
    assert provenance["provider"] == "vagrant"
    assert provenance["box"] == BOX
    assert provenance["plugin"].startswith("vagrant-libvirt ")
    assert "Bringing machine 'linux-box' up" in (guest / "console.log").read_text()
    assert inside.left() == []


def test_the_guest_has_a_graphics_card_though_no_screen(inside: Inside) -> None:
    command = ("exec", *BOX_BY_VAGRANT, "--cold", "--", "sh", "-c")
    classes = inside.harness(*command, "cat /sys/bus/pci/devices/*/class")
    inside.harness("stop")
    assert "0x030000" in classes, "a VGA controller (PCI Code and ID Assignment, 3.0)"
    assert inside.left() == []


def test_two_guests_at_once_do_not_meet(inside: Inside) -> None:
    folder = inside.folder / "guests"
    guest_file(folder, "linux-two")
    words = (*RUN, "linux-box", "linux-two", "--guests", str(folder), "--jobs", "2")
    inside.harness(*words, "--scenario", "bound-only")
    measured = matrix.decode((inside.folder / "run" / "matrix.json").read_bytes())
    counted = {cell.guest for cell in measured.cells if cell.state is State.MEASURED}
    assert counted == {"linux-box", "linux-two"}
    assert inside.left() == []


def test_the_providers_contract_is_kept(inside: Inside) -> None:
    file = str(Path(__file__).with_name("vagrant_contract.py"))
    words = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider")
    said = inside(sys.executable, "-m", "pytest", *words, "-q", file)
    assert "skipped" not in said
    assert inside.left() == []


@pytest.mark.parametrize("by", ["vagrant", "virsh"])
def test_a_snapshot_brings_back_what_was(inside: Inside, by: str) -> None:
    script = str(Path(__file__).with_name("vagrant_snapshots.py"))
    said = json.loads(inside(sys.executable, script, str(inside.folder / "console"), by))
    assert said["snapshots"] == ["one"]
    assert said["restored"] == "before\n"
    assert said["same host key"]
    assert said["snapshots at the end"] == []
    assert (said["state"], said["state at the end"]) == ("running", "poweroff")
    assert inside.left() == []


def test_an_interrupt_while_it_comes_up_leaves_nothing(inside: Inside) -> None:
    words = ("run", *BOX_BY_VAGRANT, "--out", "interrupted")
    with inside.start(sys.executable, "-m", "harness", *words) as process:
        until_domain(inside)
        harness_in(process.pid).send_signal(signal.SIGINT)
        process.wait(SECONDS)
    assert "Traceback" not in inside.said()
    judged = matrix.decode((inside.folder / "interrupted" / "matrix.json").read_bytes())
    assert {cell.state for cell in judged.cells} == {State.NOT_RUN}
    assert inside.left() == []


def test_gc_takes_away_what_a_killed_run_left(inside: Inside) -> None:
    words = ("run", *BOX_BY_VAGRANT, "--out", "killed")
    with inside.start(sys.executable, "-m", "harness", *words) as process:
        until_domain(inside)
        harness_in(process.pid).send_signal(signal.SIGKILL)
        process.wait(30)
    assert inside.leases()
    inside.harness("gc")
    assert inside.left() == []


def test_a_kept_guest_is_visited_and_stopped(inside: Inside) -> None:
    words = ("exec", *BOX_BY_VAGRANT)
    assert inside.harness(*words, "--keep", "--", "echo", "first") == "first\n"
    (lease,) = inside.leases()
    assert lease.kept
    inside.harness("gc")
    began = time.monotonic()
    assert inside.harness(*words, "--", "echo", "again") == "again\n"
    assert time.monotonic() - began < 10, "it was booted anew"
    inside.harness("stop", "linux-box")
    assert inside.left() == []


def start_of(inside: Inside, out: str, *more: str) -> str:
    """Ask one scenario in a new run; return how its guest came up."""
    words = ("run", *BOX_BY_VAGRANT, "--scenario", "sharing", "--quick", "--out", out, *more)
    inside.harness(*words)
    return start_in(inside, out)


def start_in(inside: Inside, out: str) -> str:
    guest = inside.folder / out / "guests" / "linux-box"
    return str(json.loads((guest / "facts.json").read_bytes())["provenance"]["start"])


def nothing_runs(inside: Inside) -> None:
    """A parked guest costs a disk, and no process."""
    assert inside.virsh("list", "--name") == []
    assert inside.virsh("net-list", "--name") == []
    assert inside("pgrep", "-l", "qemu|dnsmasq", status=1) == ""


@pytest.fixture
def parked(inside: Inside) -> Iterator[Lease]:
    """A guest that an earlier run parked; no guest is left afterwards."""
    inside.harness("exec", *BOX_BY_VAGRANT, "--", "true")
    (lease,) = inside.leases()
    assert lease.parked is not None
    yield lease
    inside.harness("stop")
    assert inside.left() == []


def test_the_next_run_goes_on_from_the_first_login(inside: Inside) -> None:
    starts, seconds = [], []
    for number, more in enumerate(((), (), (), ("--cold",))):
        began = time.monotonic()
        starts.append(start_of(inside, f"warm{number}", *more))
        seconds.append(time.monotonic() - began)
        nothing_runs(inside)
        assert [lease.parked is None for lease in inside.leases()] == [False]
    assert starts == ["cold", "warm", "warm", "cold"]
    assert seconds[2] < seconds[3] / 2, seconds
    results = [(inside.folder / f"warm{number}" / "matrix.json") for number in range(4)]
    words = [[cell.verdict for cell in matrix.decode(one.read_bytes()).cells] for one in results]
    assert words[1:] == words[:-1]
    assert inside.harness("gc") == ""
    assert "ended linux-box, powered off for a later run" in inside.harness("gc", "--cache")
    assert inside.left() == []


def test_a_guest_that_goes_on_has_a_clock_and_randomness_of_its_own(
    inside: Inside, parked: Lease
) -> None:
    drawn = set()
    for _ in range(2):
        line = "date +%s; dd if=/dev/urandom bs=16 count=1 2>/dev/null | base64; uptime"
        began = time.time()
        said = inside.harness("exec", *BOX_BY_VAGRANT, "--", "sh", "-c", line)
        clock, random, uptime = said.splitlines()
        assert began - 2 <= int(clock) <= time.time() + 2
        assert "up 0 min" in uptime
        drawn.add(random)
        assert [lease.id for lease in inside.leases()] == [parked.id]
    assert len(drawn) == 2


def test_a_guest_of_long_ago_is_found_where_it_was(inside: Inside, parked: Lease) -> None:
    # As an hour after dnsmasq last saw the guest: it has forgotten the guest.
    inside("sh", "-c", "rm /var/lib/libvirt/dnsmasq/*.status")
    assert start_of(inside, "long-ago") == "warm"
    assert [lease.id for lease in inside.leases()] == [parked.id]
    nothing_runs(inside)


def test_of_two_runs_at_once_one_goes_on_and_one_boots(inside: Inside, parked: Lease) -> None:
    inside("sh", "-c", "rm /var/lib/libvirt/dnsmasq/*.status")  # the address looks free
    words = ("run", *BOX_BY_VAGRANT, "--scenario", "sharing", "--quick", "--out")
    argv = (sys.executable, "-m", "harness", *words)
    runs = [inside.start(*argv, out) for out in ("both0", "both1")]
    for run in runs:
        run.communicate(timeout=SECONDS)
    assert [run.returncode for run in runs] == [0, 0], inside.said()
    assert sorted(start_in(inside, out) for out in ("both0", "both1")) == ["cold", "warm"]
    assert [lease.guest for lease in inside.leases()] == ["linux-box"]
    nothing_runs(inside)


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGKILL], ids=["int", "kill"])
def test_nothing_is_left_of_what_a_run_had_taken_that_was_ended(
    inside: Inside, parked: Lease, word: signal.Signals
) -> None:
    words = ("run", *BOX_BY_VAGRANT, "--out", f"ended{word}")
    with inside.start(sys.executable, "-m", "harness", *words) as process:
        until_domain(inside)
        harness_in(process.pid).send_signal(word)
        process.wait(60)
    assert [lease.id for lease in inside.leases()] == [parked.id] * (word == signal.SIGKILL)
    inside.harness("gc")
    assert inside.left() == []


def test_a_snapshot_that_is_damaged_costs_a_boot_and_no_more(inside: Inside, parked: Lease) -> None:
    image = f"/var/lib/libvirt/images/{NAME}-{parked.id[:16]}-linux-box.img"
    inside("truncate", "--size", "16M", image)
    assert start_of(inside, "damaged") == "cold"
    assert "booting it: its parked guest failed" in inside.said()
    assert start_of(inside, "mended") == "warm"
    assert [lease.id for lease in inside.leases()] != [parked.id]


def until_domain(inside: Inside) -> None:
    until = time.monotonic() + SECONDS
    while not inside.virsh("list", "--name"):
        assert time.monotonic() < until
        time.sleep(0.2)


def harness_in(pid: int) -> psutil.Process:
    """Return the harness's process below nsenter(1), which forks to enter a PID namespace."""
    (child,) = psutil.Process(pid).children()
    return child


def test_by_hand_the_vagrantfile_lists_every_guest_with_a_box(tmp_path: Path) -> None:
    if shutil.which("vagrant") is None:
        pytest.skip("no vagrant here (`reuseport-matrix doctor --install --with vagrant`)")
    own = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")}
    done = subprocess.run(
        ["vagrant", "status", "--machine-readable"],
        cwd=ROOT,
        env={**os.environ, **own, "VAGRANT_CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split(",") for line in done.stdout.decode().splitlines()]
    listed = {line[1] for line in lines if line[2:4] == ["state", "not_created"]}
    known = guests.load([guests_folder()]).values()
    assert listed == {guest.name for guest in known if guest.vagrant is not None}
