"""The `gvisor` provider, with a fake `runsc`: how it is found, started, used and ended."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace
from provider_contract import ProviderContract, TransportContract, left_of

from harness import clocks, guests
from harness.deadline import Deadline
from harness.errors import BootError, GuestLostError, ImageError, NotRunError
from harness.leases import leases
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import AgentSource, DebianKernel, Guest
from harness.model.guest import Gvisor
from harness.protocols import Transport
from harness.providers import Choices
from harness.providers.gvisor import program, sandbox
from harness.providers.gvisor.provider import PLATFORMS, GvisorProvider
from harness.providers.packages.debian import Debian, Unpacked
from harness.providers.workshop import Workshop

FAKE = Path(__file__).parent / "fake_runsc.sh"

PACKAGE = DebianKernel(("trixie",), "runsc")


def guest(section: Gvisor | None = None) -> Guest:
    return Guest(
        "g", "gVisor", AgentSource(target="host"), gvisor=section or Gvisor(path=str(FAKE))
    )


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let `runsc` keep its state in a folder of this test."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr(sandbox, "TEMPORARY", (str(made),))
    return made


@pytest.fixture
def workshop(tmp_path: Path, temporary: Path) -> Workshop:
    places = Places(tmp_path / "cache", tmp_path / "state")
    return Workshop(places, lambda name: tmp_path / name / "console.log")


@pytest.fixture
def provider(workshop: Workshop) -> GvisorProvider:
    return GvisorProvider(workshop)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = tmp_path / "folder"
    made.mkdir()
    return str(made)


class TestGvisor(TransportContract):
    """Commands in a sandbox; the fake runs them on this machine."""

    @pytest.fixture
    def transport(self, provider: GvisorProvider) -> Iterator[Transport]:
        with provider.boot(guest(), Deadline(30)) as made:
            yield made


class TestGvisorProvider(ProviderContract):
    """A sandbox of the fake."""

    @pytest.fixture
    def guest(self) -> Guest:
        return guest()

    @pytest.fixture
    def left(self, workshop: Workshop, temporary: Path) -> Callable[[], Sequence[str]]:
        return lambda: [*left_of(workshop.places), *map(str, temporary.iterdir())]


def test_the_record_names_the_real_kernel_and_the_program(provider: GvisorProvider) -> None:
    with provider.boot(guest(), Deadline(30)) as transport:
        made = transport.provenance
    assert (made["system"], made["release"]) == ("gVisor", "20991231.0")
    assert made["accelerator"] == "ptrace", "the fake does not know systrap"
    assert len(made["runsc_sha256"]) == 64


def test_a_runsc_that_cannot_trace_is_not_run_with_each_reason(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch, workshop: Workshop
) -> None:
    monkeypatch.setenv("FAKE_RUNSC", "blind")
    with pytest.raises(NotRunError) as caught, provider.boot(guest(), Deadline(30)):
        pass
    for name in PLATFORMS:
        assert f"{name}: ptrace: operation not permitted" in str(caught.value)
    assert "containers" in (caught.value.hint or "")
    assert not leases(workshop.places)


def test_a_platform_that_hangs_is_given_up_for_the_next(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RUNSC", "silent")
    monkeypatch.setattr(clocks, "SANDBOX", 0.3)
    with (
        pytest.raises(NotRunError, match=r"ptrace: no process runs in it .* kvm: no process"),
        provider.boot(guest(), Deadline(30)),
    ):
        pass


def test_a_sandbox_that_is_not_up_in_time_is_a_failed_boot(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RUNSC", "silent")
    only = guest(Gvisor(path=str(FAKE), platform="ptrace"))
    with pytest.raises(BootError, match="did not start in time"), provider.boot(only, Deadline(1)):
        pass


def test_a_runsc_with_another_layout_is_not_used(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RUNSC", "stateless")
    with (
        pytest.raises(NotRunError, match="state where this program does not look"),
        provider.boot(guest(), Deadline(30)),
    ):
        pass


def test_a_runsc_too_old_for_a_call_is_not_run(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RUNSC", "old")
    with (
        pytest.raises(NotRunError, match="ptrace: runsc exec: flag provided but not defined"),
        provider.boot(guest(), Deadline(30)),
    ):
        pass


def test_without_a_folder_for_its_state_nothing_is_started(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "TEMPORARY", ("/no/such", "/no/other"))
    with (
        pytest.raises(NotRunError, match="neither of /no/such and /no/other can be written to"),
        provider.boot(guest(), Deadline(30)),
    ):
        pass


def test_a_sandbox_that_died_is_a_lost_guest(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch, workshop: Workshop
) -> None:
    with provider.boot(guest(), Deadline(30)) as transport:
        assert transport.run(["echo", "well"], timeout=10).stdout == b"well\n"
        (lease,) = leases(workshop.places)
        assert lease.process is not None
        sandbox = psutil.Process(lease.process.pid)
        sandbox.kill()
        sandbox.wait(10)
        with pytest.raises(GuestLostError, match="the sandbox ended"):
            transport.run(["echo", "well"], timeout=10)


def test_a_command_that_took_too_long_is_killed_inside(
    provider: GvisorProvider, tmp_path: Path
) -> None:
    mark = str(tmp_path / "mark")
    with provider.boot(guest(), Deadline(30)) as transport:
        with pytest.raises(Exception, match="did not end"):
            transport.run(["sh", "-c", "sleep 60; exit $?", mark], timeout=0.5)
        words = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        assert not [word for word in words if mark in word]


def test_who_has_no_runsc_is_told_where_to_get_one(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provider.refusal(guest(Gvisor(installed=True))) == "runsc is not in PATH"
    assert provider.refusal(guest(Gvisor())) == "its `gvisor` section names no runsc"
    gone = guest(Gvisor(path=str(tmp_path / "gone")))
    assert str(provider.refusal(gone)).endswith("gone does not exist")
    refusal = provider.refusal(guest(Gvisor(debian=PACKAGE, installed=True)))
    assert "apt-get and dpkg-deb not found" in str(refusal)
    with pytest.raises(NotRunError) as caught, provider.boot(gone, Deadline(30)):
        pass
    assert caught.value.hint == program.HINT


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        (["apt-get", "dpkg-deb"], ["gvisor-20221219", "gvisor-newest"]),
        (["runsc"], ["gvisor-newest"]),
        ([], []),
    ],
)
def test_available_has_what_apt_or_path_can_give(
    tools: list[str], names: list[str], workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name if name in tools else None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    known = guests.load([guests_folder()])
    found = guests.select(known, ["available"], Choices(workshop, "gvisor").startable)
    assert [one.name for one in found if one.gvisor is not None] == names


def test_gvisor_needs_linux(provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert provider.refusal(guest()) == "gVisor runs on Linux; this machine is Darwin"


def test_another_program_is_not_taken_for_runsc(
    provider: GvisorProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VERSION", "something else")
    with (
        pytest.raises(NotRunError, match="does not answer as runsc does"),
        provider.boot(guest(), Deadline(30)),
    ):
        pass


@pytest.fixture
def in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the fake into PATH as `runsc`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "runsc").symlink_to(FAKE)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "runsc"


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let apt find a package with a `runsc` of 20240729."""
    place = tmp_path / "package" / "usr" / "bin" / "runsc"
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\necho runsc version 0.0~20240729.0\n")
    place.chmod(0o755)
    known = Unpacked("runsc", "0.0~20240729.0-4", "5" * 64, "trixie", str(tmp_path / "package"))
    monkeypatch.setattr(Debian, "package", lambda self, wanted, deadline: known)
    return place


@pytest.mark.parametrize(
    ("version", "newer"),
    [
        ("release-20250101.0", True),
        ("0.0~20221219.0", False),
        ("release-20240730", True),
        ("built by hand", False),
    ],
)
def test_the_newer_of_two_is_used(
    version: str,
    newer: bool,
    in_path: Path,
    packaged: Path,
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAKE_VERSION", f"runsc version {version}")
    wanted = Gvisor(debian=PACKAGE, installed=True)
    assert program.refusal(wanted) is None
    chosen = program.choose(wanted, workshop.places, Deadline(30))
    assert chosen.path == (in_path if newer else packaged)
    assert ("package_sha256" in chosen.origin) is not newer
    alone = program.choose(replace(wanted, installed=False), workshop.places, Deadline(30))
    assert (alone.path, alone.release) == (packaged, "20240729.0")


def test_without_a_package_the_one_in_path_is_used(
    in_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Debian, wanted: DebianKernel, deadline: Deadline) -> Unpacked:
        raise NotRunError("apt has no archive configured")

    monkeypatch.setattr(Debian, "package", refuse)
    wanted = Gvisor(debian=PACKAGE, installed=True)
    assert program.choose(wanted, workshop.places, Deadline(30)).path == in_path
    with pytest.raises(NotRunError, match="no archive configured"):
        program.choose(replace(wanted, installed=False), workshop.places, Deadline(30))


def test_a_package_without_runsc_is_said(packaged: Path, workshop: Workshop) -> None:
    packaged.unlink()
    with pytest.raises(ImageError, match=r"no runsc in the package runsc 0.0~20240729"):
        program.choose(Gvisor(debian=PACKAGE), workshop.places, Deadline(30))
