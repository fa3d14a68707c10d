"""The `ssh` provider with a server on loopback: refusals are final and have a hint."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import paramiko
import pytest
from msgspec.structs import replace
from provider_contract import ProviderContract
from ssh_server import SshServer, serving, talking
from sshd import write_key

from harness import guests
from harness.deadline import Deadline
from harness.errors import BootError, FileError, InfrastructureError, NotRunError
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.guest import Remote
from harness.providers.openssh import Openssh
from harness.providers.ssh import ExistingMachine
from harness.providers.workshop import Workshop
from harness.transport import generate_key

LEFT = "reuseport-matrix-*"


@pytest.fixture
def server() -> Iterator[SshServer]:
    with serving() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ~/.ssh for this test only, and no ssh-agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = tmp_path / "dot-ssh"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def guest(server: SshServer, folder: Path) -> Guest:
    """The server as a section of a guest file."""
    server.user_key = write_key(folder / "key")
    remote = Remote(port=server.port, key=str(folder / "key"))
    remember(folder, server.port, server.host_key)
    return Guest("mini", "Darwin", AgentSource(target="host"), ssh=remote)


@pytest.fixture
def provider(folder: Path, tmp_path: Path) -> ExistingMachine:
    places = Places(tmp_path / "cache", tmp_path / "state")
    return ExistingMachine(Workshop(places, lambda name: tmp_path / name), Openssh(folder))


def remember(folder: Path, port: int, key: paramiko.PKey) -> None:
    line = f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n"
    (folder / "known_hosts").write_text(line)


def remote(guest: Guest, **changes: object) -> Guest:
    assert guest.ssh is not None
    return replace(guest, ssh=replace(guest.ssh, **changes))


def refused(provider: ExistingMachine, guest: Guest, seconds: float = 20) -> BootError:
    """Boot, which must fail soon; return the error."""
    began = time.monotonic()
    with pytest.raises(BootError) as caught, provider.boot(guest, Deadline(seconds)):
        pass
    assert time.monotonic() - began < 8
    return caught.value


class TestSshProvider(ProviderContract):
    """The guest is this machine, with paramiko's server, so what is left can be found here."""

    @pytest.fixture
    def left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Sequence[str]]:
        made = (str(tmp_path / "first"), str(tmp_path / "second"))
        for path in made:
            Path(path).mkdir()
        monkeypatch.setattr("harness.providers.ssh.TEMPORARY", made)

        def look() -> Sequence[str]:
            # If the connection broke, the guest cleans up by itself a moment later.
            until = time.monotonic() + 5
            while time.monotonic() < until:
                found = [str(one) for path in made for one in Path(path).iterdir()]
                if not found:
                    break
                time.sleep(0.02)
            return found

        return look


def test_folders_of_its_own_are_held_while_the_guest_is_used(
    provider: ExistingMachine, guest: Guest
) -> None:
    with provider.boot(guest, Deadline(20)) as transport:
        first, second = transport.folders
        assert Path(first).stat().st_mode & 0o777 == 0o700
        assert Path(first).parent == Path("/tmp")
        (Path(first) / "full").write_text("x")
    assert not Path(first).exists()
    assert not Path(second).exists()


def test_a_host_key_that_is_remembered_is_pinned(provider: ExistingMachine, guest: Guest) -> None:
    with provider.boot(guest, Deadline(20)) as transport:
        assert transport.provenance["host_key"] == "pinned"
        assert transport.provenance["provider"] == "ssh"


def test_another_host_key_is_refused(
    provider: ExistingMachine, guest: Guest, server: SshServer, folder: Path
) -> None:
    remember(folder, server.port, generate_key())
    error = refused(provider, guest)
    assert "not the pinned" in str(error)
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in str(error.hint)


def test_a_host_key_of_another_kind_is_refused(
    provider: ExistingMachine, guest: Guest, server: SshServer, folder: Path
) -> None:
    remember(folder, server.port, paramiko.ECDSAKey.generate())
    error = refused(provider, guest)
    assert "has no ecdsa-sha2-nistp256 key" in str(error)
    assert "ssh-keygen -R" in str(error.hint)


def test_an_unknown_host_key_is_told_with_the_line_that_pins_it(
    provider: ExistingMachine,
    guest: Guest,
    server: SshServer,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (folder / "known_hosts").unlink()
    with provider.boot(guest, Deadline(20)) as transport:
        assert transport.provenance["host_key"] == "not checked"
    key = f"ssh-ed25519 {server.host_key.get_base64()}"
    assert f'host_key: "{key}"' in caplog.text
    assert not (folder / "known_hosts").exists()
    caplog.clear()
    with provider.boot(remote(guest, host_key=key), Deadline(20)):
        assert "host key" not in caplog.text


def test_the_guest_files_host_key_holds_against_the_remembered_one(
    provider: ExistingMachine, guest: Guest
) -> None:
    other = generate_key()
    changed = remote(guest, host_key=f"{other.get_name()} {other.get_base64()}")
    assert "`ssh.host_key`" in str(refused(provider, changed).hint)


def test_a_wrong_key_is_refused_once_and_named(
    provider: ExistingMachine, guest: Guest, server: SshServer, folder: Path
) -> None:
    wrong = write_key(folder / "wrong")
    error = refused(provider, remote(guest, key=str(folder / "wrong")))
    assert wrong.fingerprint in str(error)
    assert f"does `ssh -p {server.port} root@127.0.0.1` work?" in str(error.hint)
    assert len(server.connections) == 1


def test_of_several_keys_the_one_that_fits_gets_in(
    provider: ExistingMachine, guest: Guest, server: SshServer, folder: Path
) -> None:
    write_key(folder / "id_ed25519")
    server.user_key = write_key(folder / "id_ecdsa")
    write_key(folder / "id_rsa")
    with provider.boot(remote(guest, key=None), Deadline(20)) as transport:
        assert transport.run(["echo", "in"], timeout=10).stdout == b"in\n"


def test_a_closed_port_is_believed_at_once(provider: ExistingMachine, guest: Guest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert "refused" in str(refused(provider, remote(guest, port=port)))


def test_of_several_addresses_the_one_that_listens_is_found(
    provider: ExistingMachine, guest: Guest, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example `localhost`, if ::1 comes first and nothing listens there."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        closed = held.getsockname()
    kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
    ways = [(*kind, closed), (*kind, ("127.0.0.1", server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **keys: ways)
    with provider.boot(guest, Deadline(20)) as transport:
        assert transport.run(["echo", "in"], timeout=10).stdout == b"in\n"
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **keys: ways[:1] * 2)
    assert "refused" in str(refused(provider, guest))


def test_a_name_that_nobody_knows_is_believed_at_once(
    provider: ExistingMachine, guest: Guest
) -> None:
    assert "no SSH login at no.such.host.invalid" in str(
        refused(provider, remote(guest, host="no.such.host.invalid"))
    )


def test_a_banner_that_never_comes_is_bounded(provider: ExistingMachine, guest: Guest) -> None:
    with talking(lambda sock: None) as port:
        error = refused(provider, remote(guest, port=port), 3)
    assert "no SSH server speaks" in str(error)
    assert "boot_timeout" not in str(error.hint)


@pytest.mark.parametrize("body", ["", "no key\n"])
def test_a_key_that_is_none_or_not_there_is_not_run(
    provider: ExistingMachine, guest: Guest, folder: Path, body: str
) -> None:
    if body:
        (folder / "bad").write_text(body)
    other = remote(guest, key=str(folder / "bad"))
    reason = provider.refusal(other)
    assert reason is not None
    with pytest.raises(NotRunError, match=r"the key .* (does not exist|cannot be used)"):
        provider.boot(other, Deadline(5)).__enter__()


def test_an_account_without_a_shell_is_named_with_what_to_change(
    provider: ExistingMachine, guest: Guest, server: SshServer
) -> None:
    def silent(channel: paramiko.Channel, command: bytes) -> None:
        time.sleep(0.1)
        channel.sendall_stderr(b"This account is not available.\n")
        channel.send_exit_status(1)
        channel.close()

    server.execute = silent
    with (
        pytest.raises(InfrastructureError, match=r"`sh` there: .*This account") as caught,
        provider.boot(guest, Deadline(20)),
    ):
        pass
    assert "chsh -s /bin/sh root" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["AAAA", "ssh-ed25519", "'ssh-ed25519 AAAA'", "null"])
def test_a_host_key_that_is_none_is_a_mistake_in_the_guest_file(tmp_path: Path, text: str) -> None:
    body = f"name: lab\nsystem: Linux\nagent: {{target: host}}\nssh:\n  host_key: {text}\n"
    (tmp_path / "lab.yaml").write_text(body)
    with pytest.raises(FileError, match=r"lab.yaml:5: `ssh.host_key`: expected TYPE BASE64"):
        guests.load([tmp_path])


def test_this_users_folder_is_what_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Openssh().known_hosts == Path("/home/somebody/.ssh/known_hosts")
    assert os.environ["HOME"] == "/home/somebody"
