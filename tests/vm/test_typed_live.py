"""Consoles that are typed on, for real: a Linux that lets nobody in before that."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typed_box
from live_command import need_guest

from harness import guests, leases
from harness.deadline import Deadline
from harness.errors import BootError, HarnessError
from harness.machine.places import Places
from harness.model import Guest
from harness.providers.qemu.provider import QemuProvider
from harness.providers.workshop import Workshop

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("typed")]

BOOT = 280.0

TOOLS = ("qemu-system-x86_64", "qemu-img", "apt-get", "dpkg-deb")

GUEST = """\
name: typed
system: Linux
agent: {{target: x86_64-linux-musl}}
qemu:
  disk: {disk}
  disk_format: raw
  boot_timeout: {seconds}
  console:
    - {{on: {on}, wait: "boot: ", send: "linux terminal={terminal} {words}"}}
    - {{on: {on}, wait: "login: ", send: root, timeout: {patience}}}
    - on: {on}
      match: '# $'
      timeout: {more}
      send: |
        umask 077; mkdir -p .ssh; cat >.ssh/authorized_keys <<E
        {{public_key}}
        E
        cat >/tmp/pem <<E
        {{host_key}}
        E
        dropbearconvert openssh dropbear /tmp/pem /etc/dropbear/host_key
        echo 'dropbear -E -s -W 1048576 -r /etc/dropbear/host_key' >{start}
        . {start}; echo do''ne
    - {{on: {on}, match: '(?m)^done'}}
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the disk needs {', '.join(missing)}: `reuseport-matrix doctor --install`")
    need_guest("linux-6.1")
    try:
        return typed_box.make(tmp_path_factory.mktemp("disk"), Places.of_user())
    except HarnessError as exc:
        pytest.skip(f"no package for the disk: {exc}")


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """The user's packages and accelerators, but no guest that was kept."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for shelf in Places.of_user().cache.iterdir():
        if shelf.name not in ("warm", "typed"):
            (cache / shelf.name).symlink_to(shelf)
    yield Places(cache, tmp_path / "state")
    assert not leases.leases(Places(cache, tmp_path / "state"))


class Bench:
    """Boots the disk with the console steps; `said` is the console's log."""

    def __init__(self, disk: Path, places: Places, folder: Path) -> None:
        self._disk = disk
        self._places = places
        self._folder = folder

    def guest(self, words: str, **more: object) -> Guest:
        """Return the guest; `words` are for its kernel's command line."""
        chosen = {"on": "serial", "terminal": "ttyS0", "seconds": 60, "patience": 60, "more": 20}
        chosen |= {"start": "/etc/dropbear/on", **more}
        text = GUEST.format(disk=self._disk, words=words, **chosen)
        folder = self._folder / "guests"
        folder.mkdir(exist_ok=True)
        (folder / "typed.yaml").write_text(text)
        return guests.load([folder])["typed"]

    def boot(self, guest: Guest, *, cold: bool = False) -> tuple[str, str, str]:
        """Boot it, run a command, and return the provenance of its start."""
        workshop = Workshop(self._places, lambda name: self._folder / f"{name}.log", False, cold)
        with QemuProvider(workshop).boot(guest, Deadline(BOOT)) as transport:
            done = transport.run(["cat", "/root/.ssh/authorized_keys"], timeout=60)
            facts = transport.provenance
            assert (done.status, facts["host_key"]) == (0, "ours")
            return facts["start"], facts["console"], done.stdout.decode()

    @property
    def said(self) -> str:
        """What is in the console's log."""
        return (self._folder / "typed.log").read_text("latin-1")


@pytest.fixture
def bench(disk: Path, places: Places, tmp_path: Path) -> Bench:
    return Bench(disk, places, tmp_path)


def test_a_guest_is_typed_on_once_and_kept_warm(bench: Bench) -> None:
    guest = bench.guest("asks=getty")
    start, console, first = bench.boot(guest)
    assert (start, console) == ("cold", "typed")
    said = bench.said
    assert "console step 2: saw `login:`, types `root`" in said
    assert "BEGIN OPENSSH PRIVATE KEY" in said
    assert not re.search("AAAAC3NzaC1|b3BlbnNzaC1", said), "a key is in the log"
    assert first.split()[1] not in said
    start, console, second = bench.boot(guest)
    assert (start, console) == ("warm", "typed before")
    assert first != second
    assert bench.said.count("console step 2") == 2  # what its console had said is there again


def test_a_cold_boot_is_from_the_disk_that_was_typed_on(bench: Bench) -> None:
    guest = bench.guest("asks=getty")
    keys = set()
    for _ in range(2):
        start, console, key = bench.boot(guest, cold=True)
        assert (start, console) == ("cold", "typed before")
        keys.add(key)
    assert len(keys) == 2
    assert bench.said.count("console step 2") == 1


def test_a_disk_that_forgets_is_typed_on_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    guest = bench.guest("asks=getty", start="/tmp/on", seconds=2)
    for boots in (2, 3):
        start, console, _ = bench.boot(guest, cold=True)
        assert (start, console) == ("cold", "typed")
        assert bench.said.count("console step 2") == boots
    assert caplog.text.count("its disk forgets what was typed") == 1


def test_a_login_on_the_screen(bench: Bench) -> None:
    guest = bench.guest("asks=getty", on="screen", terminal="tty1")
    assert bench.boot(guest)[:2] == ("cold", "typed")
    assert "SYSLINUX" in bench.said
    assert "the screen showed:" in bench.said
    assert not re.search("AAAAC3NzaC1|b3BlbnNzaC1", bench.said), "a key is in the log"


@pytest.mark.parametrize("asks", ["interrupted", "twice", "lossy"])
def test_a_console_that_misbehaves_is_typed_on(bench: Bench, asks: str) -> None:
    assert bench.boot(bench.guest(f"asks={asks}"))[:2] == ("cold", "typed")
    assert ("its prompt came again" in bench.said) == (asks == "twice")


@pytest.mark.parametrize(
    ("asks", "why"),
    [
        ("incorrect", "console step 3: the guest refuses the login"),
        ("changed", "console step 3: the guest asks for a new password"),
        ("always", "console step 3: the guest asks who logs in again, 3 times answered"),
        ("silent", "console step 2: `login:` did not come on the serial line within"),
        ("flood", "console step 3: `# $` did not come on the serial line within"),
    ],
)
def test_a_console_that_lets_nobody_in_is_told(bench: Bench, asks: str, why: str) -> None:
    # What is asked again and again takes long on a machine that is busy.
    waits = {"silent": {"patience": 4}, "flood": {"more": 2}, "always": {"more": 45}}
    patience = waits.get(asks, {})
    with pytest.raises(BootError) as caught:
        bench.boot(bench.guest(f"asks={asks}", **patience))
    assert str(caught.value).startswith(why)
    assert caught.value.console


def test_a_graphic_screen_is_told(bench: Bench) -> None:
    guest = bench.guest("asks=getty vga=791", on="screen", terminal="tty1")
    with pytest.raises(BootError, match="its screen is graphic, and only a text screen can be"):
        bench.boot(guest)
