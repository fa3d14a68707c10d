"""The providers that boot nothing, and who is chosen for a guest."""

import platform
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace
from provider_contract import TransportContract
from ssh_server import SshServer, serving

from harness.deadline import Deadline
from harness.errors import BootError, GuestLostError, NotRunError, UsageError
from harness.model import AgentSource, Guest, Host, OnlyOn, Ssh
from harness.places import Places
from harness.protocols import Transport
from harness.providers import choose
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


def guest(host: Host | None = None, ssh: Ssh | None = None) -> Guest:
    return Guest("g", "s", AgentSource(target="host"), host=host, ssh=ssh)


class TestHost(TransportContract):
    """This machine, isolated as well as it can be."""

    @pytest.fixture
    def transport(self, workshop: Workshop) -> Iterator[Transport]:
        with ThisMachine(workshop).boot(guest(Host()), Deadline(30)) as made:
            yield made


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


@pytest.fixture
def server() -> Iterator[SshServer]:
    with serving() as made:
        yield made


def key_file(path: Path) -> paramiko.PKey:
    """Write a new private key; return it."""
    private = Ed25519PrivateKey.generate()
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return paramiko.Ed25519Key.from_private_key_file(str(path))


def known(path: Path, server: SshServer, key: paramiko.PKey) -> Path:
    path.write_text(f"[127.0.0.1]:{server.port} {key.get_name()} {key.get_base64()}\n")
    return path


def test_a_machine_that_is_there_is_reached_and_left(
    workshop: Workshop, server: SshServer, tmp_path: Path
) -> None:
    server.user_key = key_file(tmp_path / "key")
    ssh = Ssh(host="127.0.0.1", port=server.port, key=str(tmp_path / "key"))
    provider = ExistingMachine(workshop, known(tmp_path / "known", server, server.host_key))
    assert provider.refusal(guest(ssh=ssh)) is None
    with provider.boot(guest(ssh=ssh), Deadline(20)) as transport:
        assert transport.provenance["provider"] == "ssh"
        assert transport.run(["echo", "here"], timeout=10).stdout == b"here\n"


def test_a_machine_with_another_host_key_is_refused(
    workshop: Workshop, server: SshServer, tmp_path: Path
) -> None:
    server.user_key = key_file(tmp_path / "key")
    ssh = Ssh(host="127.0.0.1", port=server.port, key=str(tmp_path / "key"))
    provider = ExistingMachine(workshop, known(tmp_path / "known", server, server.user_key))
    with (
        pytest.raises(BootError, match="not the pinned"),
        provider.boot(guest(ssh=ssh), Deadline(9)),
    ):
        pass


def test_a_machine_whose_host_key_is_unknown_is_told(
    workshop: Workshop, server: SshServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.user_key = key_file(tmp_path / "key")
    ssh = Ssh(host="127.0.0.1", port=server.port, key=str(tmp_path / "key"))
    with ExistingMachine(workshop, tmp_path / "none").boot(guest(ssh=ssh), Deadline(20)):
        assert "not checked" in caplog.text


def test_a_key_that_is_none_is_told(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key\n")
    ssh = Ssh(key=str(tmp_path / "key"))
    with (
        pytest.raises(BootError, match="cannot be used"),
        ExistingMachine(workshop).boot(guest(ssh=ssh), Deadline(5)),
    ):
        pass


def test_who_can_start_a_guest_is_chosen(workshop: Workshop) -> None:
    offer = choose(guest(Host()), workshop)
    assert (offer.name, offer.refusal, offer.download) == ("host", None, None)
    assert isinstance(offer.provider, ThisMachine)


def test_why_nobody_can_start_a_guest_is_said(workshop: Workshop, tmp_path: Path) -> None:
    missing = guest(ssh=Ssh(key=str(tmp_path / "none")))
    with pytest.raises(NotRunError, match="is not there"):
        choose(missing, workshop)
    with pytest.raises(NotRunError, match="host: its file does not say"):
        choose(missing, workshop, "host")
    with pytest.raises(NotRunError, match="no provider for it"):
        choose(guest(), workshop)
    with pytest.raises(UsageError, match="no provider nonsense"):
        choose(guest(Host()), workshop, "nonsense")


def test_a_guest_that_may_run_elsewhere_only_says_just_that(workshop: Workshop) -> None:
    licence = "the licence allows it on its maker's machines only"
    limited = replace(guest(Host(), Ssh(key="k")), only_on=OnlyOn("Plan9", licence))
    with pytest.raises(NotRunError, match=f"host: {licence}; ssh: the key k is not there"):
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
    assert choose(guest(Host(), Ssh()), workshop).name == "ssh"


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
