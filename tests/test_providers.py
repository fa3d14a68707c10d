"""The providers that boot nothing, and the choice of a guest's provider."""

import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fakes import FakeProvider
from msgspec.structs import replace
from provider_contract import ProviderContract, TransportContract, left_of

from harness import providers
from harness.deadline import Deadline
from harness.errors import GuestLostError, NotRunError, UsageError
from harness.machine.places import Places
from harness.model import AgentSource, Guest, OnlyOn
from harness.model.guest import SECTIONS, Host, Remote
from harness.protocols import Provider, Transport
from harness.providers import PROVIDERS, Choices, choose
from harness.providers.host import ISOLATIONS, NOT_ISOLATED, ThisMachine, isolated
from harness.providers.ssh import ExistingMachine
from harness.providers.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(Places(tmp_path / "cache", tmp_path / "state"), lambda name: tmp_path / name)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = tmp_path / "folder"
    made.mkdir()
    return str(made)


def guest(host: Host | None = None, ssh: Remote | None = None) -> Guest:
    return Guest("g", "s", AgentSource(target="host"), host=host, ssh=ssh)


class TestHost(TransportContract):
    """This machine, with the best isolation that works here."""

    @pytest.fixture
    def transport(self, workshop: Workshop) -> Iterator[Transport]:
        with ThisMachine(workshop).boot(guest(Host()), Deadline(30)) as made:
            yield made


class TestHostProvider(ProviderContract):
    """This machine is a guest that boots at once."""

    @pytest.fixture
    def provider(self, workshop: Workshop) -> Provider:
        return ThisMachine(workshop)

    @pytest.fixture
    def guest(self) -> Guest:
        return guest(Host())

    @pytest.fixture
    def left(self, workshop: Workshop) -> Callable[[], Sequence[str]]:
        return lambda: left_of(workshop.places)


class TestFakeProvider(ProviderContract):
    """The fake provider that the engine's tests rely on."""

    @pytest.fixture
    def provider(self) -> FakeProvider:
        return FakeProvider()

    @pytest.fixture
    def guest(self) -> Guest:
        return Guest("g", "s", AgentSource(path="/agent"))

    @pytest.fixture
    def left(self, provider: FakeProvider) -> Callable[[], Sequence[str]]:
        return lambda: provider.up

    def refused(self, guest: Guest) -> Guest:
        return replace(guest, agent=AgentSource(target="host"))


def test_the_host_says_how_it_is_isolated(workshop: Workshop) -> None:
    with ThisMachine(workshop).boot(guest(Host()), Deadline(30)) as transport:
        said = transport.provenance
        assert (said["provider"], said["accelerator"]) == ("host", "none")
        if said["isolation"] == NOT_ISOLATED:
            pytest.skip("no network namespace can be had here")
        assert said["loopback"] == "up"
        inside = transport.run(["readlink", "/proc/self/ns/net"], timeout=10).stdout
        again = transport.run(["readlink", "/proc/self/ns/net"], timeout=10).stdout
        assert inside.startswith(b"net:")
        assert inside.strip() != str(Path("/proc/self/ns/net").readlink()).encode()
        assert again.startswith(b"net:")


def test_a_host_that_asks_for_none_is_not_isolated(workshop: Workshop) -> None:
    with ThisMachine(workshop).boot(guest(Host(isolate=False)), Deadline(30)) as transport:
        assert transport.provenance["isolation"] == NOT_ISOLATED
        assert transport.provenance["loopback"] == "as-is"


@pytest.mark.parametrize("body", ["exit 1", "exec sleep 60"])
def test_an_unshare_that_fails_or_hangs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    (tmp_path / "unshare").write_text(f"#!/bin/sh\n{body}\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert isolated(Deadline(0.5)) == NOT_ISOLATED


def test_a_machine_without_unshare_is_not_isolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isolated(Deadline(5)) == NOT_ISOLATED
    assert NOT_ISOLATED not in ISOLATIONS


def test_the_host_is_closed_at_the_end(workshop: Workshop) -> None:
    with ThisMachine(workshop).boot(guest(Host(isolate=False)), Deadline(30)) as transport:
        pass
    with pytest.raises(GuestLostError):
        transport.run(["true"], timeout=5)


def test_a_guest_file_has_a_section_for_every_provider_and_for_nothing_else() -> None:
    assert list(PROVIDERS) == list(SECTIONS)


def test_who_can_start_a_guest_is_chosen(workshop: Workshop) -> None:
    offer = choose(guest(Host()), workshop)
    assert (offer.name, offer.refusal, offer.download) == ("host", None, None)
    assert isinstance(offer.provider, ThisMachine)


def test_why_nobody_can_start_a_guest_is_said(workshop: Workshop, tmp_path: Path) -> None:
    missing = guest(ssh=Remote(key=str(tmp_path / "none")))
    with pytest.raises(NotRunError, match="does not exist"):
        choose(missing, workshop)
    with pytest.raises(NotRunError, match="host: its guest file has no `host` section"):
        choose(missing, workshop, "host")
    with pytest.raises(NotRunError, match="it names no provider"):
        choose(guest(), workshop)
    with pytest.raises(UsageError, match="unknown provider: nonsense"):
        choose(guest(Host()), workshop, "nonsense")


def test_a_guest_that_may_run_elsewhere_only_says_just_that(workshop: Workshop) -> None:
    licence = "the licence allows it on its maker's machines only"
    limited = replace(guest(Host(), Remote(key="k")), only_on=OnlyOn("Plan9", licence))
    with pytest.raises(NotRunError, match=f"host: {licence}; ssh: the key k does not exist"):
        choose(limited, workshop)
    with pytest.raises(NotRunError, match=f"^g cannot be started here: host: {licence}$"):
        choose(replace(limited, ssh=None), workshop)
    here = OnlyOn(platform.system(), licence, platform.machine())
    assert choose(replace(limited, only_on=here), workshop).name == "host"


def test_a_host_that_has_to_be_of_a_kind(workshop: Workshop) -> None:
    system, release = platform.system(), platform.release()
    assert choose(guest(Host(system=system, release=release[:2])), workshop).name == "host"
    with pytest.raises(NotRunError, match=f"this machine is {system} .*, not Darwin 23."):
        choose(guest(Host(system="Darwin", release="23.")), workshop)


def test_a_provider_without_a_download_comes_first(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThisMachine, "download", lambda self, guest: "a box")
    monkeypatch.setattr(ExistingMachine, "refusal", lambda self, guest: None)
    assert choose(guest(Host()), workshop).download == "a box"
    assert choose(guest(Host(), Remote()), workshop).name == "ssh"


def test_the_agent_on_the_host_goes_with_its_lease_also_after_an_interrupt(tmp_path: Path) -> None:
    places = Places(tmp_path / "cache", tmp_path / "state")
    provider = ThisMachine(Workshop(places, lambda name: tmp_path / "console"))
    guest = Guest("host", "host", AgentSource(), host=Host())
    with provider.boot(guest, Deadline(30)) as transport:
        folder = Path(transport.folders[0])
        assert folder.is_dir()
        assert folder.is_relative_to(places.state)
        transport.close()
    assert not folder.exists()


def test_a_guest_is_chosen_for_once_however_often_that_is_needed(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Asked(ThisMachine):
        def refusal(self, guest: Guest) -> str | None:
            asked.append(guest.name)
            return super().refusal(guest)

    monkeypatch.setattr(providers, "PROVIDERS", {"host": Asked})
    choices, other = Choices(workshop), replace(guest(), name="other")
    assert choices.startable(guest(Host()))
    assert not choices.startable(other)
    assert choices.best(guest(Host())).name == "host"
    with pytest.raises(NotRunError, match="it names no provider"):
        choices.best(other)
    assert asked == [guest(Host()).name]
