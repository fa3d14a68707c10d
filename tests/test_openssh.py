"""~/.ssh is read as ssh(1) reads it, or refused with a message."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
)

from harness.model.guest import Remote
from harness.providers.openssh import Openssh, OpensshError, parse_host_key, read_key
from harness.transport import generate_key
from harness.transport.keys import key_text


def offered(folder: Path, remote: Remote) -> list[str]:
    """Return the fingerprints of the keys that would be offered."""
    openssh = Openssh(folder)
    with openssh.keys(remote, openssh.place(remote)) as keys:
        return [key.fingerprint for key in keys]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ~/.ssh for the test, without an ssh-agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = tmp_path / "dot-ssh"
    made.mkdir(mode=0o700)
    return made


def write_key(path: Path, passphrase: str | None = None) -> paramiko.PKey | None:
    """Write a new private key; return it if it is readable without a passphrase."""
    secret: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        secret = BestAvailableEncryption(passphrase.encode())
    private = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, secret))
    return None if passphrase else paramiko.Ed25519Key.from_private_key_file(str(path))


CONFIG = """\
Host mac-mini
    HostName mini.lab.example
    Port 2200
    User me
    IdentityFile {folder}/lab
Host behind
    ProxyJump gate
Host tunnel
    ProxyCommand nc gate %p
Host free
    ProxyJump none
"""


def test_what_the_file_leaves_open_is_found_in_the_config(folder: Path) -> None:
    (folder / "config").write_text(CONFIG.format(folder=folder))
    place = Openssh(folder).place(Remote(host="mac-mini"))
    assert (place.host, place.port, place.user) == ("mini.lab.example", 2200, "me")
    assert place.known_as == "[mini.lab.example]:2200"
    key = write_key(folder / "lab")
    assert key is not None
    assert offered(folder, Remote(host="mac-mini")) == [key.fingerprint]


def test_what_the_guest_file_says_holds(folder: Path) -> None:
    (folder / "config").write_text(CONFIG.format(folder=folder))
    place = Openssh(folder).place(Remote(host="mac-mini", user="root", port=22))
    assert (place.host, place.port, place.user) == ("mini.lab.example", 22, "root")
    assert place.known_as == "mini.lab.example"


def test_without_a_config_it_is_root_at_port_22(folder: Path) -> None:
    place = Openssh(folder).place(Remote(host="lab"))
    assert (place.host, place.port, place.user) == ("lab", 22, "root")


@pytest.mark.parametrize(("host", "by"), [("behind", "proxyjump"), ("tunnel", "proxycommand")])
def test_a_way_by_another_machine_is_refused_and_says_what_to_do(
    folder: Path, host: str, by: str
) -> None:
    (folder / "config").write_text(CONFIG.format(folder=folder))
    with pytest.raises(OpensshError, match=by) as caught:
        Openssh(folder).place(Remote(host=host))
    assert f"ssh -N -L 2222:localhost:22 {host}" in str(caught.value)
    assert Openssh(folder).place(Remote(host="free")).host == "free"


def test_a_config_that_cannot_be_used_is_said_so(folder: Path) -> None:
    (folder / "config").write_text("nonsense\n")
    with pytest.raises(OpensshError, match=r"config:1: expected a value after `nonsense`"):
        Openssh(folder).place(Remote(host="lab"))


def test_no_command_of_the_config_is_run(folder: Path) -> None:
    text = f"Match host lab exec 'touch {folder}/ran'\n  User me\nHost lab\n  Port 77\n"
    (folder / "config").write_text(text)
    place = Openssh(folder).place(Remote(host="lab"))
    assert (place.user, place.port) == ("root", 77)
    assert not (folder / "ran").exists()


def test_a_key_that_is_named_is_the_only_one(folder: Path) -> None:
    write_key(folder / "id_ed25519")
    named = write_key(folder / "named")
    assert named is not None
    assert offered(folder, Remote(key=str(folder / "named"))) == [named.fingerprint]


def test_without_a_key_the_usual_files_are_read_but_for_locked_ones(folder: Path) -> None:
    with pytest.raises(OpensshError, match="no key to log in with"):
        offered(folder, Remote())
    write_key(folder / "id_ed25519", "secret")
    usual = write_key(folder / "id_rsa")  # the file's name does not decide the key's type
    assert usual is not None
    assert offered(folder, Remote()) == [usual.fingerprint]


def test_a_key_in_nobodys_home_is_a_key_that_is_not_there(folder: Path) -> None:
    lab = write_key(folder / "lab")
    assert lab is not None
    files = f"IdentityFile ~no-such-user/id\nIdentityFile {'x' * 300}\nIdentityFile {folder}/lab\n"
    (folder / "config").write_text(f"Host mac-mini\n{files}")
    assert offered(folder, Remote(host="mac-mini")) == [lab.fingerprint]


@pytest.fixture
def agent(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Start a real ssh-agent; yield the path of its socket."""
    sock = tmp_path / "agent"
    try:
        process = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("no ssh-agent here (openssh-client)")
    with process:
        while not sock.exists():
            assert process.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        yield sock
        process.terminate()


def test_without_a_key_the_ssh_agent_is_asked(folder: Path, agent: Path) -> None:
    key = write_key(folder / "elsewhere")
    assert key is not None
    subprocess.run(["ssh-add", "-q", str(folder / "elsewhere")], check=True)
    assert offered(folder, Remote()) == [key.fingerprint]
    named = write_key(folder / "named")
    assert named is not None
    assert offered(folder, Remote(key=str(folder / "named"))) == [named.fingerprint]


def test_an_ssh_agent_that_is_gone_is_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(folder / "nobody"))
    with pytest.raises(OpensshError, match="no key to log in with"):
        offered(folder, Remote())


def test_more_keys_than_a_server_lets_try_are_not_offered(folder: Path, agent: Path) -> None:
    for number in range(7):
        write_key(folder / f"k{number}")
        subprocess.run(["ssh-add", "-q", str(folder / f"k{number}")], check=True)
    assert len(offered(folder, Remote())) == 5


def test_a_key_with_a_passphrase_says_where_to_put_it(folder: Path) -> None:
    write_key(folder / "locked", "secret")
    with pytest.raises(
        OpensshError, match=r"has a passphrase; load it into the ssh-agent \(`ssh-add"
    ):
        read_key(folder / "locked")


def test_what_is_no_key_is_said_so(folder: Path) -> None:
    (folder / "key").write_text("no key\n")
    with pytest.raises(OpensshError, match="cannot be used"):
        read_key(folder / "key")
    with pytest.raises(OpensshError, match="does not exist"):
        read_key(folder / "none")


FLAWS = [
    (b"", "the file is empty"),
    (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "puttygen .* -O private-openssh"),
    (f"{key_text(generate_key())} me\n".encode(), "it is a public key; name the private one"),
    (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "cannot be used: "),
]


@pytest.mark.parametrize(("content", "said"), FLAWS, ids=("empty", "putty", "public", "cut"))
def test_a_file_that_is_no_private_key_says_what_it_is(
    folder: Path, content: bytes, said: str
) -> None:
    (folder / "key").write_bytes(content)
    with pytest.raises(OpensshError, match=said):
        read_key(folder / "key")


def test_a_key_of_a_kind_that_is_not_supported_says_which_are(folder: Path) -> None:
    private = X25519PrivateKey.generate()
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key").write_bytes(content)
    with pytest.raises(OpensshError, match="only Ed25519, ECDSA and RSA keys"):
        read_key(folder / "key")


def test_a_key_with_a_certificate_is_offered_without_it_too(folder: Path) -> None:
    """The certificate may have expired, or the server may know only the key."""
    key = write_key(folder / "id_ed25519")
    assert key is not None
    private = load_ssh_private_key((folder / "id_ed25519").read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    made = SSHCertificateBuilder().public_key(private.public_key()).serial(1).key_id(b"me")
    made = made.type(SSHCertificateType.USER).valid_principals([b"root"])
    signed = made.valid_after(0).valid_before(1).sign(Ed25519PrivateKey.generate())
    (folder / "id_ed25519-cert.pub").write_bytes(signed.public_bytes())
    for remote in (Remote(), Remote(key=str(folder / "id_ed25519"))):
        openssh = Openssh(folder)
        with openssh.keys(remote, openssh.place(remote)) as keys:
            assert [key.public_blob is not None for key in keys] == [True, False]
            assert {key.fingerprint for key in keys} == {keys[0].fingerprint}


def test_a_key_that_others_may_read_is_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_key(folder / "key")
    read_key(folder / "key")
    assert caplog.text == ""
    (folder / "key").chmod(0o644)
    read_key(folder / "key")
    assert "chmod 600" in caplog.text


def test_host_keys_are_found_under_the_real_name_and_port(folder: Path) -> None:
    openssh, key = Openssh(folder), generate_key()
    (folder / "config").write_text("Host alias\n  HostName real.example\n  Port 2022\n")
    place = openssh.place(Remote(host="alias"))
    assert openssh.host_keys(place).keys == ()
    line = f"[real.example]:2022 {key.get_name()} {key.get_base64()}\n"
    (folder / "known_hosts").write_text(f"# a comment\nother ssh-ed25519 AAAA\n{line}")
    (found,) = openssh.host_keys(place).keys
    assert found.asbytes() == key.asbytes()
    hashed = paramiko.HostKeys.hash_host("[real.example]:2022")
    (folder / "known_hosts").write_text(line.replace("[real.example]:2022", hashed))
    assert len(openssh.host_keys(place).keys) == 1
    assert (folder / "known_hosts").read_text().startswith("|1|")  # never written


def test_a_host_key_in_the_guest_file_is_read() -> None:
    key = generate_key()
    text = f"{key.get_name()} {key.get_base64()} a comment"
    assert parse_host_key(text).asbytes() == key.asbytes()
    for wrong in ("", "ssh-ed25519", "ssh-ed25519 %%%", "ssh-unknown AAAA"):
        with pytest.raises(OpensshError, match="not a host key"):
            parse_host_key(wrong)
