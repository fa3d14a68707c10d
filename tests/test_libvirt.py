"""Our own work in libvirt, tested with a fake virsh that keeps its state in a folder."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import BootError
from harness.leases import Undo
from harness.machine.places import Places
from harness.model import Box
from harness.providers.vagrant import libvirt
from harness.providers.vagrant.libvirt import Ground

VIRSH = """#!/bin/sh
# Networks, domains and volumes are files; a network of an address that is taken does not start.
while :; do case $1 in --quiet) shift;; --connect) shift 2;; *) break;; esac; done
cd "$VIRSH" || exit 1
case $1 in
version) [ ! -e down ];;
net-dumpxml) [ "$2" != --inactive ] || shift; [ -e "net-$2" ] && cat "net-$2";;
net-define) name=$(sed -n 's/.*<name>\\(.*\\)<.name>.*/\\1/p' "$2"); cp "$2" "net-$name";;
net-start)
  ! grep -qf taken "net-$2" || { echo 'Network is already in use' >&2; exit 1; }
  [ ! -e "up-$2" ] && touch "up-$2";;
net-list) for up in up-*; do echo "${up#up-}"; done;;
net-update)
  mac=$(echo "$5" | grep -o '[0-9a-f:]*:[0-9a-f:]*') && [ -e "net-$2" ] || exit 1
  if [ "$3" = add ]; then echo "$5" >>"net-$2"; else sed -i "/mac='$mac'/d" "net-$2"; fi;;
net-destroy) rm "up-$2";;
net-undefine) rm "net-$2";;
domiflist) [ -e "dom-$2" ] && echo " vnet0   network   net   virtio   $(cat "dom-$2")";;
domstate | destroy) [ -e "dom-$2" ];;
undefine) shift; while [ $# -gt 1 ]; do shift; done; [ ! -e stuck ] && rm "dom-$1";;
vol-info) [ -e "vol-$4" ];;
vol-delete) rm "vol-$4";;
esac
"""


@pytest.fixture
def rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the fake libvirt's state."""
    folder = tmp_path / "libvirt"
    folder.mkdir()
    (folder / "taken").write_text("192.168.99.1\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "virsh").write_text(VIRSH)
    (tmp_path / "bin" / "virsh").chmod(0o755)
    monkeypatch.setenv("VIRSH", str(folder))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin")
    return folder


@pytest.fixture
def ground(tmp_path: Path, rests: Path) -> Ground:
    return Ground(Places(tmp_path / "cache", tmp_path / "state"))


def ended(undo: Undo) -> int:
    inherited = {**os.environ, **undo.environment}
    return subprocess.run(undo.argv, env=inherited, timeout=20, check=False).returncode


def test_a_network_is_made_once_and_goes_with_the_last_guest(ground: Ground, rests: Path) -> None:
    file = rests / f"net-{ground.network}"
    *_, clear = ground.undo("domain")
    with ground.used(Deadline(10)) as address:
        assert address == "192.168.130.0/24"
        with ground.used(Deadline(10)) as again:
            assert again == address
        assert ended(clear) == 0
        assert file.exists(), "removed under a guest that comes up"
    assert ended(clear) == 0
    assert not file.exists()


def test_a_network_with_guests_on_it_stays(ground: Ground, rests: Path) -> None:
    file = rests / f"net-{ground.network}"
    *_, clear = ground.undo("domain")
    with ground.used(Deadline(10)):
        file.write_text("<network connections='1'>\n")
    assert ended(clear) == 0
    assert file.exists()


def test_an_address_that_is_taken_is_passed_over(ground: Ground, rests: Path) -> None:
    (rests / "taken").write_text("192.168.130.1\n192.168.131.1\n")
    with ground.used(Deadline(10)) as address:
        assert address == "192.168.132.0/24"


def test_a_network_whose_address_was_taken_meanwhile_gets_another(
    ground: Ground, rests: Path
) -> None:
    with ground.used(Deadline(10)):
        park(ground, rests)
    (rests / "taken").write_text("192.168.130.1\n")
    with ground.used(Deadline(10)) as address:
        assert address == "192.168.131.0/24"


def park(ground: Ground, rests: Path) -> None:
    """Create a guest that is powered off, and reserve its address."""
    (rests / "dom-parked").write_text("52:54:00:00:00:01")
    ground.reserve("parked", "192.168.130.7", Deadline(10))


def test_a_parked_guest_has_its_address_in_a_network_that_is_down(
    ground: Ground, rests: Path
) -> None:
    file = rests / f"net-{ground.network}"
    off, *_, clear = ground.undo("parked")
    with ground.used(Deadline(10)):
        park(ground, rests)
    assert "<host mac='52:54:00:00:00:01' ip='192.168.130.7'/>" in file.read_text()
    assert not (rests / f"up-{ground.network}").exists()
    other, *_ = ground.undo("other")
    (rests / "dom-other").write_text("52:54:00:00:00:02")
    for undo in (other, clear):
        assert ended(undo) == 0
    assert file.exists()
    for undo in (off, off, clear):
        assert ended(undo) == 0
    assert not file.exists()


def test_an_address_that_cannot_be_kept_is_told(ground: Ground, rests: Path) -> None:
    (rests / "dom-parked").touch()
    with pytest.raises(BootError, match="net-update"):
        ground.reserve("parked", "192.168.130.7", Deadline(10))


def test_no_network_at_all_says_what_libvirt_said(ground: Ground, rests: Path) -> None:
    (rests / "taken").write_text("192.168\n")
    with (
        pytest.raises(BootError, match="already in use") as caught,
        ground.used(Deadline(20)),
    ):
        pass
    assert "iptables" in str(caught.value.hint)
    assert not list(rests.glob("net-*"))


def test_rests_of_a_guest_are_swept_and_nobody_elses(ground: Ground, rests: Path) -> None:
    _, sweep, _ = ground.undo("mine")
    for name in ("dom-mine", "vol-mine.img", "dom-mine-too", "vol-other.img"):
        (rests / name).touch()
    assert ended(sweep) == 0
    assert {path.name for path in rests.iterdir()} == {"taken", "dom-mine-too", "vol-other.img"}
    assert ended(sweep) == 0


@pytest.mark.parametrize("trouble", ["down", "stuck"])
def test_a_sweep_that_leaves_something_fails(ground: Ground, rests: Path, trouble: str) -> None:
    _, sweep, _ = ground.undo("mine")
    (rests / "dom-mine").touch()
    (rests / trouble).touch()
    assert ended(sweep) != 0


def test_one_at_a_time_brings_a_box_into_the_pool(ground: Ground, rests: Path) -> None:
    volume = libvirt.volume_of("a/b", "1")
    assert volume is not None
    order: list[str] = []

    def second() -> None:
        with ground.box_ready(Box("a/b"), "1", Deadline(20)) as forget:
            order.append("second" if forget is None else "second makes it, too")

    with ground.box_ready(Box("a/b"), "1", Deadline(10)) as forget:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.5)
        order.append("first")
        assert forget is not None
        (rests / f"vol-{volume}").touch()
    thread.join()
    assert order == ["first", "second"]
    assert ended(forget) == 0
    assert not (rests / f"vol-{volume}").exists()


def test_a_machine_without_a_daemon_is_refused(
    rests: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI", raising=False)
    monkeypatch.setattr(libvirt, "SOCKETS", (str(tmp_path / "none"),))
    assert "systemctl start libvirtd" in str(libvirt.refusal())
    monkeypatch.setattr(libvirt, "SOCKETS", (str(tmp_path),))
    assert libvirt.refusal() is None
    (tmp_path / "bin" / "virsh").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "--with vagrant" in str(libvirt.refusal())


def test_a_box_image_is_named_as_vagrant_libvirt_does() -> None:
    name = libvirt.volume_of("reuseport-matrix/linux-box", "1.0")
    assert name == "reuseport-matrix-VAGRANTSLASH-linux-box_vagrant_box_image_1.0_box.img"
