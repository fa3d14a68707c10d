"""OpenSSH servers with their own settings: what paramiko can do works, the rest ends at once."""

import shutil
import time
from pathlib import Path

import pytest
import sshd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
)
from msgspec.structs import replace
from sshd import Sshd, existing, machine

from harness.deadline import Deadline
from harness.errors import BootError
from harness.model import Guest
from harness.transport.keys import key_text, public_key

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("ssh")]

COMMON = (
    "KexAlgorithms diffie-hellman-group16-sha512",
    "KexAlgorithms diffie-hellman-group14-sha256",
    "KexAlgorithms curve25519-sha256",
    "KexAlgorithms ecdh-sha2-nistp521",
    "Ciphers aes256-gcm@openssh.com",
    "Ciphers aes192-ctr",
    "MACs hmac-sha2-512-etm@openssh.com",
    "MACs hmac-sha2-256",
)

FOREIGN = (
    ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "no key exchange in common"),
    ("Ciphers chacha20-poly1305@openssh.com", "no cipher in common"),
    ("MACs umac-128-etm@openssh.com\nCiphers aes128-ctr", "no MAC in common"),
)


def setup(lines: str) -> str:
    return f"cat >> /run/sshd/config << 'END'\n{lines}\nEND\n"


@pytest.mark.parametrize("setting", COMMON)
def test_whatever_paramiko_can_do_is_offered(setting: str, tmp_path: Path) -> None:
    with (
        sshd.serving(tmp_path, setup=setup(setting)) as server,
        existing(tmp_path).boot(machine(server), Deadline(30)) as transport,
    ):
        assert transport.run(["echo", "in"], timeout=20).stdout == b"in\n"


@pytest.mark.parametrize(("setting", "said"), FOREIGN)
def test_nothing_in_common_is_said_at_once(setting: str, said: str, tmp_path: Path) -> None:
    with sshd.serving(tmp_path, setup=setup(setting)) as server:
        began = time.monotonic()
        with (
            pytest.raises(BootError, match=said) as caught,
            existing(tmp_path).boot(machine(server), Deadline(30)),
        ):
            pass
        assert time.monotonic() - began < 5
        name = setting.partition(" ")[0]
        assert f"its sshd_config must allow one of these: `{name} " in str(caught.value.hint)


def keyless(server: Sshd) -> Guest:
    guest = machine(server)
    assert guest.ssh is not None
    return replace(guest, ssh=replace(guest.ssh, key=None))


def test_a_server_that_hangs_up_after_one_key_is_offered_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "dot-ssh"
    folder.mkdir(mode=0o700)
    for name in ("id_ed25519", "id_ecdsa"):
        sshd.write_key(folder / name)
    (tmp_path / "sshd").mkdir()
    with sshd.serving(tmp_path / "sshd", setup=setup("MaxAuthTries 1")) as server:
        guest = keyless(server)
        began = time.monotonic()
        with (
            pytest.raises(BootError, match="was refused"),
            existing(folder).boot(guest, Deadline(30)),
        ):
            pass
        assert time.monotonic() - began < 10
        (folder / "id_rsa").write_bytes(server.key.read_bytes())
        (folder / "id_rsa").chmod(0o600)
        with existing(folder).boot(guest, Deadline(30)) as transport:
            assert transport.run(["echo", "in"], timeout=20).stdout == b"in\n"


def test_one_known_host_key_of_several_is_enough(tmp_path: Path) -> None:
    """As after the server's Ed25519 key was removed: the RSA key of the other line still fits."""
    (tmp_path / "sshd").mkdir()
    lines = "HostKey /run/sshd/rsa_key\nHostKeyAlgorithms rsa-sha2-512\n"
    made = "ssh-keygen -q -t rsa -N '' -f /run/sshd/rsa_key\n"
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen here (openssh-client)")
    with sshd.serving(tmp_path / "sshd", setup=made + setup(lines)) as server:
        rsa = server.path("/run/sshd/rsa_key.pub").read_text().strip()
        other = sshd.write_key(tmp_path / "other")
        name = f"[127.0.0.1]:{server.port}"
        text = f"{name} {other.get_name()} {other.get_base64()}\n{name} {rsa}\n"
        (tmp_path / "known_hosts").write_text(text)
        guest = machine(server)
        assert guest.ssh is not None
        guest = replace(guest, ssh=replace(guest.ssh, host_key=None))
        with existing(tmp_path).boot(guest, Deadline(30)) as transport:
            assert transport.provenance["host_key"] == "pinned"


def certificate(key: Path, names: list[bytes]) -> tuple[str, str]:
    """Return a certificate for a host's key file, and the authority's public key."""
    host = load_ssh_private_key(key.read_bytes(), None)
    assert isinstance(host, Ed25519PrivateKey)
    authority, now = Ed25519PrivateKey.generate(), int(time.time())
    made = SSHCertificateBuilder().public_key(host.public_key()).serial(1).key_id(b"lab")
    made = made.type(SSHCertificateType.HOST).valid_principals(names)
    signed = made.valid_after(now - 60).valid_before(now + 3600).sign(authority)
    return signed.public_bytes().decode(), key_text(public_key(authority))


@pytest.mark.parametrize(("name", "checked"), [(b"127.0.0.1", "certified"), (b"x", "not checked")])
def test_a_host_certificate_is_honoured(
    name: bytes, checked: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sshd.write_key(tmp_path / "host_key")
    text, authority = certificate(tmp_path / "host_key", [name])
    private = (tmp_path / "host_key").read_text()
    lines = f"cat > /run/sshd/host_key << 'END'\n{private}END\n"
    lines += f"cat > /run/sshd/cert.pub << 'END'\n{text}\nEND\n"
    lines += setup("HostCertificate /run/sshd/cert.pub")
    (tmp_path / "sshd").mkdir()
    with sshd.serving(tmp_path / "sshd", setup=lines) as server:
        known = f"@cert-authority [127.0.0.1]:* {authority}\n"
        (tmp_path / "known_hosts").write_text(known)
        guest = machine(server)
        assert guest.ssh is not None
        guest = replace(guest, ssh=replace(guest.ssh, host_key=None))
        with existing(tmp_path).boot(guest, Deadline(30)) as transport:
            assert transport.provenance["host_key"] == checked
    assert ("its certificate is for x, not for 127.0.0.1" in caplog.text) == (name == b"x")
