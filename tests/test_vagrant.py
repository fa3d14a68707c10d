"""The `vagrant` provider with a fake Vagrant: what it refuses, and how it fails."""

import errno
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import paramiko
import pytest
from msgspec.structs import replace
from provider_contract import ProviderContract, left_of
from ssh_server import SshServer, serving

from harness import clocks, leases
from harness.deadline import Deadline
from harness.errors import BootError, HarnessError, ImageError, NotRunError
from harness.machine.places import Places
from harness.model import AgentSource, Box, Guest, Ssh
from harness.model.guest import Vagrant
from harness.providers import choose
from harness.providers.vagrant import boxes, machine, plugins, warm
from harness.providers.vagrant.provider import VagrantProvider
from harness.providers.workshop import Workshop
from harness.transport.keys import make_key

FAKE = Path(__file__).with_name("fake_vagrant.py")

PLUGINS = (
    "1,,ui,info,vagrant-libvirt (0.11.2%!(VAGRANT_COMMA) system)\n"
    "1,,plugin-name,vagrant-libvirt\n"
    "1,vagrant-libvirt,plugin-version,0.11.2%!(VAGRANT_COMMA) system\n"
)

ARM = platform.machine() in ("aarch64", "arm64")

HERE: Literal["x86_64", "aarch64"] = "aarch64" if ARM else "x86_64"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with only a fake Vagrant and VirtualBox's command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("vagrant", "VBoxManage"):
        (folder / name).write_bytes(FAKE.read_bytes())
        (folder / name).chmod(0o755)
    (folder / "python3").symlink_to(sys.executable)
    for name in ("sh", "setpriv", "env", "true", "uname"):
        found = shutil.which(name)
        if found is not None:
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FAKE_PLUGINS", PLUGINS)
    return folder


@pytest.fixture
def workshop(tmp_path: Path, programs: Path) -> Workshop:
    places = Places(tmp_path / "cache", tmp_path / "state")
    return Workshop(places, lambda name: tmp_path / f"{name}.log")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with serving() as made:
        key = tmp_path / "key"
        made.user_key = make_key(key)
        monkeypatch.setenv("FAKE_SSH", f"{made.port} {key}")
        yield made


class TestVagrantProvider(ProviderContract):
    """Vagrant is a script, and the guest is our own SSH server."""

    @pytest.fixture
    def guest(self, server: SshServer) -> Guest:
        add_box("example/box", "1", "virtualbox")
        return guest()

    @pytest.fixture
    def provider(self, workshop: Workshop) -> VagrantProvider:
        return VagrantProvider(workshop)

    @pytest.fixture
    def left(self, workshop: Workshop) -> Callable[[], Sequence[str]]:
        return lambda: left_of(workshop.places)


def guest(provider: str = "virtualbox", box: Box | None = None) -> Guest:
    vagrant = Vagrant(boxes={provider: box or Box("example/box")}, boot_timeout=5)
    return Guest("g", "Linux", AgentSource(), vagrant=vagrant, architecture=HERE)


def add_box(name: str, version: str, provider: str) -> None:
    folder = boxes.home() / "boxes" / name.replace("/", "-VAGRANTSLASH-")
    (folder / version / provider).mkdir(parents=True)


def asked(programs: Path) -> list[str]:
    return (programs / "asked").read_text().splitlines()


def refusal(workshop: Workshop, of: Guest) -> str:
    with pytest.raises(NotRunError) as caught:
        choose(of, workshop)
    assert caught.value.hint
    return str(caught.value)


def test_without_vagrant_it_says_what_installs_it(workshop: Workshop, programs: Path) -> None:
    (programs / "vagrant").unlink()
    assert "doctor --install --with vagrant" in refusal(workshop, guest())


def test_without_a_hypervisor_it_says_which(workshop: Workshop, programs: Path) -> None:
    (programs / "VBoxManage").unlink()
    assert "VBoxManage not found" in refusal(workshop, guest())


@pytest.mark.parametrize(
    ("provider", "advice"),
    [
        ("libvirt", "doctor --install --with vagrant"),
        ("parallels", "vagrant plugin install vagrant-parallels"),
    ],
)
def test_without_a_plug_in_it_says_what_installs_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, provider: str, advice: str
) -> None:
    monkeypatch.setenv("FAKE_PLUGINS", "")
    said = refusal(workshop, guest(provider))
    assert f"lacks the plug-in vagrant-{provider}" in said
    assert advice in said


def test_each_provider_of_vagrants_says_its_own(workshop: Workshop, programs: Path) -> None:
    (programs / "VBoxManage").unlink()
    both = Vagrant(boxes={"virtualbox": Box("a/b"), "tart": Box("a/c")})
    said = refusal(workshop, replace(guest(), vagrant=both))
    assert "VBoxManage not found" in said
    assert "nor by tart" in said


def test_plug_ins_are_asked_for_once(workshop: Workshop, programs: Path) -> None:
    for _ in range(3):
        refusal(workshop, guest("parallels"))
    assert asked(programs).count("plugin list --machine-readable") == 1
    (boxes.home()).mkdir(exist_ok=True)
    (boxes.home() / "plugins.json").write_text("{}")  # as `vagrant plugin install` does
    refusal(workshop, guest("parallels"))
    assert asked(programs).count("plugin list --machine-readable") == 2


def test_a_vagrant_that_does_not_work_is_told(workshop: Workshop, programs: Path) -> None:
    (programs / "vagrant").write_text("#!/bin/sh\necho ruby: broken >&2; exit 1\n")
    assert "does not work here: ruby: broken" in refusal(workshop, guest("parallels"))


def test_a_box_for_another_architecture_is_refused(workshop: Workshop) -> None:
    other = replace(guest(), architecture="aarch64" if HERE == "x86_64" else "x86_64")
    assert f"this machine is {HERE}" in refusal(workshop, other)


def test_a_box_that_is_to_be_made_says_by_what(workshop: Workshop) -> None:
    made = guest(box=Box("example/made", made_by="make the box"))
    assert "`make the box`" in refusal(workshop, made)
    add_box("example/made", "1.0", "virtualbox")
    offer = choose(made, workshop)
    assert (offer.name, offer.download) == ("vagrant", None)


def test_what_would_be_downloaded_is_said(workshop: Workshop) -> None:
    box = Box("example/box", version="1.2", unchecked=True)
    provider = VagrantProvider(workshop)
    said = provider.download(guest(box=box))
    end = "from HashiCorp's catalogue, which ends on 2026-12-31"
    assert said == f"the box example/box 1.2 for virtualbox (its address is unchecked) {end}"
    hosted = provider.download(guest(box=replace(box, url="https://example.org/a.box")))
    assert hosted == said.removesuffix(f" {end}")
    add_box("example/box", "1.1", "virtualbox")
    assert provider.download(guest(box=box)) == said
    add_box("example/box", "1.2", "virtualbox")
    assert provider.download(guest(box=box)) is None


def test_a_guest_is_brought_up_logged_in_to_and_destroyed(
    workshop: Workshop, programs: Path, server: SshServer
) -> None:
    add_box("example/box", "3", "virtualbox")
    with VagrantProvider(workshop).boot(guest(), Deadline(30)) as transport:
        assert transport.run(["echo", "here"], timeout=10).stdout == b"here\n"
        provenance = transport.provenance
        (lease,) = leases.leases(workshop.places)
        assert [undo.argv for undo in lease.undo] == [("vagrant", "destroy", "-f", "g")]
        assert "destroy -f g" not in asked(programs)
    assert asked(programs)[-1] == "destroy -f g"
    assert provenance["box_version"] == "3"
    assert (provenance["vagrant"], provenance["plugin"]) == ("2.3.4", "none")
    assert "Bringing machine up" in workshop.consoles("g").read_text()
    nothing_is_left(workshop)


def nothing_is_left(workshop: Workshop) -> None:
    state = workshop.places.state
    assert [*state.glob("leases/*"), *state.glob("guests/*")] == []


def failed(workshop: Workshop, of: Guest, seconds: float = 30) -> HarnessError:
    with (
        pytest.raises(HarnessError) as caught,
        VagrantProvider(workshop).boot(of, Deadline(seconds)),
    ):
        pass
    nothing_is_left(workshop)
    assert caught.value.hint
    return caught.value


FAILURES: Mapping[str, tuple[type[HarnessError], str, str]] = {
    "no-box": (ImageError, "no catalogue has the box", "ends on 2026-12-31"),
    "no-version": (ImageError, "no such version", "the catalogue lists"),
    "other-provider": (ImageError, "does not support this Vagrant provider", "name a box"),
    "checksum": (ImageError, "sha256 differs", "do not use it"),
    "cut-off": (ImageError, "could not be downloaded", "try again"),
    "disk-full": (ImageError, "the disk is full", "free some space"),
    "refused-key": (BootError, "refuses the SSH key", "vagrant.ssh"),
    "timeout": (BootError, "did not answer in time", "boot_timeout"),
    "strange": (BootError, r"nobody foresaw \x1b[2J", "console log"),
}


@pytest.mark.parametrize("mode", FAILURES)
def test_a_failure_says_what_it_means_and_what_to_do(
    workshop: Workshop, programs: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("FAKE_VAGRANT", mode)
    kind, sentence, hint = FAILURES[mode]
    error = failed(workshop, guest())
    assert type(error) is kind
    assert sentence in str(error)
    assert hint in str(error.hint)
    assert asked(programs)[-1] == "destroy -f g"


def test_an_up_that_hangs_is_interrupted_and_destroyed(
    workshop: Workshop, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VAGRANT", "hang")
    began = time.monotonic()
    error = failed(workshop, guest(), seconds=4)
    assert time.monotonic() - began < 10
    assert isinstance(error, BootError)
    assert "did not end within" in str(error)
    assert "cleaned up" in error.console  # it was interrupted before it was killed
    assert asked(programs)[-1] == "destroy -f g"


def test_a_wrong_key_is_told(
    workshop: Workshop,
    server: SshServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clocks, "VAGRANT_LOGIN", 1.5)
    make_key(tmp_path / "wrong")
    ssh = Ssh(user="root", key=str(tmp_path / "wrong"))
    wrong = Vagrant(boxes={"virtualbox": Box("example/box")}, ssh=ssh)
    error = failed(workshop, replace(guest(), vagrant=wrong))
    assert "was refused" in str(error)
    assert "right key" in str(error.hint)


def test_a_key_that_is_none_is_told(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SSH", f"22 {tmp_path / 'none'}")
    assert "cannot be used" in str(failed(workshop, guest()))


def test_a_destroy_that_fails_keeps_the_lease(
    workshop: Workshop, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VAGRANT", "destroy-fails")
    with VagrantProvider(workshop).boot(guest(), Deadline(30)):
        pass
    assert len(leases.leases(workshop.places)) == 1


def test_a_kept_guest_stays_until_it_is_stopped(
    workshop: Workshop, programs: Path, server: SshServer
) -> None:
    with VagrantProvider(replace(workshop, keep=True)).boot(guest(), Deadline(30)):
        pass
    assert "destroy -f g" not in asked(programs)
    (lease,) = leases.kept(workshop.places)
    assert lease.login is not None
    assert lease.login.port == server.port
    assert leases.stop(workshop.places) == (lease,)
    assert asked(programs)[-1] == "destroy -f g"
    nothing_is_left(workshop)


def test_commands_name_the_guest(workshop: Workshop, programs: Path, server: SshServer) -> None:
    with VagrantProvider(workshop).started(guest(), Deadline(30)) as machine:
        machine.save("one", Deadline(10))
        machine.restore("one", Deadline(20))
        machine.delete("one", Deadline(10))
        assert machine.snapshots(Deadline(10)) == ("one",)
        machine.power_off(Deadline(10))
    lines = asked(programs)
    for line in ("save g one", "restore g one --no-provision", "delete g one", "list g"):
        assert f"snapshot {line}" in lines
    assert "halt g --force" in lines


@pytest.fixture
def renewable(
    programs: Path, server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Guest:
    """A guest whose `date` is a script, and whose home is the test's folder."""
    for name in ("mkdir", "chmod", "rm", "cat", "id"):
        found = shutil.which(name, path="/usr/bin:/bin")
        assert found is not None
        (programs / name).symlink_to(found)
    (programs / "date").write_text("#!/bin/sh\nexit 0\n")
    (programs / "date").chmod(0o755)
    (tmp_path / ".ssh").mkdir()
    monkeypatch.chdir(tmp_path)
    add_box("example/box", "1", "virtualbox")
    return replace(guest(), system="FreeBSD")


def start_of(workshop: Workshop, of: Guest) -> str:
    with VagrantProvider(workshop).boot(of, Deadline(30)) as transport:
        return transport.provenance["start"]


def test_a_guest_goes_on_from_its_first_login_in_the_next_run(
    workshop: Workshop, programs: Path, renewable: Guest
) -> None:
    assert start_of(workshop, renewable) == "cold"
    assert asked(programs)[-2:] == ["snapshot save g first-login", "halt g --force"]
    (parked,) = leases.parked(workshop.places)
    assert start_of(workshop, renewable) == "warm"
    assert asked(programs).count("up g --no-provision --provider=virtualbox") == 1
    assert "snapshot restore g first-login --no-provision" in asked(programs)
    assert asked(programs)[-1] == "halt g --force"
    assert [lease.id for lease in leases.parked(workshop.places)] == [parked.id]
    leases.stop(workshop.places)
    assert asked(programs)[-1] == "destroy -f g"
    nothing_is_left(workshop)


def test_cold_neither_takes_nor_leaves_one(
    workshop: Workshop, programs: Path, renewable: Guest
) -> None:
    cold = replace(workshop, cold=True)
    assert start_of(cold, renewable) == "cold"
    nothing_is_left(workshop)
    start_of(workshop, renewable)
    assert start_of(cold, renewable) == "cold"
    assert len(leases.parked(workshop.places)) == 1
    leases.stop(workshop.places)


def test_a_guest_that_was_parked_may_be_kept(
    workshop: Workshop, programs: Path, renewable: Guest
) -> None:
    start_of(workshop, renewable)
    assert start_of(replace(workshop, keep=True), renewable) == "warm"
    assert leases.parked(workshop.places) == ()
    (lease,) = leases.kept(workshop.places)
    assert start_of(workshop, renewable) == "cold"
    assert len(leases.stop(workshop.places)) == 2
    assert lease.login is not None


@pytest.mark.parametrize("mode", ["snapshot-fails", "halt-fails"])
def test_one_that_cannot_be_saved_or_halted_is_destroyed_and_told(
    workshop: Workshop,
    programs: Path,
    renewable: Guest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("FAKE_VAGRANT", mode)
    assert start_of(workshop, renewable) == "cold"
    assert "g is not parked for later runs: vagrant" in caplog.text
    nothing_is_left(workshop)


def test_one_that_cannot_be_renewed_is_not_saved(
    workshop: Workshop, programs: Path, renewable: Guest
) -> None:
    (programs / "date").write_text("#!/bin/sh\nexit 1\n")
    assert start_of(workshop, renewable) == "cold"
    assert not [line for line in asked(programs) if line.startswith("snapshot")]
    nothing_is_left(workshop)


def test_one_that_does_not_come_back_is_destroyed_and_booted(
    workshop: Workshop,
    programs: Path,
    renewable: Guest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start_of(workshop, renewable)
    monkeypatch.setenv("FAKE_VAGRANT", "snapshot-fails")
    assert start_of(workshop, renewable) == "cold"
    assert "booting it: its parked guest failed" in caplog.text
    lines = asked(programs)
    assert lines[-6:-4] == ["snapshot restore g first-login --no-provision", "destroy -f g"]
    nothing_is_left(workshop)


def test_one_with_another_host_key_is_not_taken_for_it(
    workshop: Workshop, renewable: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_of(workshop, renewable)
    with serving() as other:
        _, _, key = os.environ["FAKE_SSH"].partition(" ")
        other.user_key = paramiko.PKey.from_path(key)
        monkeypatch.setenv("FAKE_SSH", f"{other.port} {key}")
        assert start_of(workshop, renewable) == "cold"
    leases.stop(workshop.places)


def test_one_that_cannot_be_parked_is_destroyed_and_no_failure(
    workshop: Workshop, renewable: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the end of a run must not lose measurements."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(leases.Tenancy, "park", full)
    assert start_of(workshop, renewable) == "cold"
    nothing_is_left(workshop)


def test_a_guest_that_fails_meanwhile_is_destroyed(workshop: Workshop, renewable: Guest) -> None:
    for _ in range(2):
        with (
            pytest.raises(BootError),
            VagrantProvider(workshop).boot(renewable, Deadline(30)),
        ):
            raise BootError("in the middle")
        nothing_is_left(workshop)


def test_a_key_that_vagrant_made_for_the_guest_is_made_anew(
    workshop: Workshop,
    server: SshServer,
    renewable: Guest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def own(folder: Path) -> Path:
        return folder / "vagrant" / "private_key"

    provider = VagrantProvider(workshop)
    with provider.started(renewable, Deadline(30)) as machine:
        pass
    (lease,) = leases.parked(workshop.places)
    (Path(lease.folder) / "vagrant").mkdir()
    server.user_key = make_key(own(Path(lease.folder)))
    monkeypatch.setenv("FAKE_SSH", f"{server.port} {own(Path(lease.folder))}")
    seen = set()
    for _ in range(2):
        with provider.started(renewable, Deadline(30)) as machine:
            assert machine.login is not None
            let_in = (tmp_path / ".ssh" / "authorized_keys").read_text().split()[1]
            assert paramiko.PKey.from_path(machine.login.key).get_base64() == let_in
            seen.add(let_in)
        (lease,) = leases.parked(workshop.places)
        assert lease.login is not None
    assert len(seen) == 2
    leases.stop(workshop.places)


def test_a_guest_of_one_daemon_is_not_taken_for_anothers(
    workshop: Workshop, renewable: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = plugins.installed(workshop.places)
    assert renewable.vagrant is not None
    boxes_of = {"libvirt": renewable.vagrant.boxes["virtualbox"]}
    guest = replace(renewable, vagrant=replace(renewable.vagrant, boxes=boxes_of))
    add_box("example/box", "1", "libvirt")
    making = machine.Making(guest, "libvirt", installed, "tcg", 1.0)
    keys = set()
    for address in ("qemu:///system", "qemu:///session"):
        monkeypatch.setenv("LIBVIRT_DEFAULT_URI", address)
        keys.add(warm.key_of(making))
    assert (len(keys), None in keys) == (2, False)


def test_the_key_stands_for_all_that_has_to_be_the_same(
    workshop: Workshop, renewable: Guest
) -> None:
    installed = plugins.installed(workshop.places)
    making = machine.Making(renewable, "virtualbox", installed, "virtualbox", 1.0)
    assert renewable.vagrant is not None
    others = [
        replace(making, guest=replace(renewable, name="h")),
        replace(making, guest=replace(renewable, vagrant=replace(renewable.vagrant, memory=7))),
        replace(making, installed=replace(installed, version="2.4")),
        replace(making, accelerator="tcg"),
    ]
    keys = {warm.key_of(one) for one in (making, *others, making)}
    assert len(keys) == 1 + len(others)
    assert None not in keys
    first = warm.key_of(making)
    add_box("example/box", "2", "virtualbox")
    assert warm.key_of(making) not in {*keys, None}
    shutil.rmtree(boxes.home())
    assert (first is not None, warm.key_of(making)) == (True, None)
