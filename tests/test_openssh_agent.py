"""Which keys are offered: those of files, and those of an ssh-agent that may be odd."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest
from sshd import write_key

from harness.model.guest import Remote
from harness.providers.openssh import Openssh, OpensshError, identities
from harness.transport import generate_key
from harness.transport.keys import key_text

NONE = Path("/no/such/system/config")


def string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def identities_answer(blobs: Sequence[bytes]) -> bytes:
    """SSH_AGENT_IDENTITIES_ANSWER of draft-miller-ssh-agent, 4.4."""
    listed = b"".join(string(blob) + string(b"a comment") for blob in blobs)
    return string(bytes([12]) + struct.pack(">I", len(blobs)) + listed)


@contextmanager
def agent(path: Path, answer: Callable[[socket.socket], object]) -> Iterator[None]:
    """Serve a socket as an ssh-agent that does `answer` with each question."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        kept: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    kept.append(sock)
                    if sock.recv(5):
                        answer(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for sock in kept:
                sock.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    made = tmp_path / "dot-ssh"
    made.mkdir(mode=0o700)
    return made


def offered(folder: Path, config: str = "") -> list[bytes]:
    (folder / "config").write_text(config)
    openssh = Openssh(folder, NONE)
    with openssh.keys(Remote(), openssh.place(Remote())) as keys:
        return [key.asbytes() for key in keys]


def listing(*keys: paramiko.PKey | bytes) -> Callable[[socket.socket], object]:
    blobs = [key if isinstance(key, bytes) else key.asbytes() for key in keys]
    return lambda sock: sock.sendall(identities_answer(blobs))


SECURITY_KEY = string(b"sk-ssh-ed25519@openssh.com") + string(bytes(32)) + string(b"ssh:")
CERTIFICATE = string(b"ssh-ed25519-cert-v01@openssh.com") + string(bytes(300))
DAMAGED = string(b"ssh-ed25519") + string(b"short")


def test_keys_of_kinds_that_paramiko_does_not_know_hide_no_other(
    folder: Path, tmp_path: Path
) -> None:
    key = generate_key()
    with agent(tmp_path / "agent", listing(SECURITY_KEY, CERTIFICATE, key)):
        assert key.asbytes() in offered(folder)


ODD: Sequence[Callable[[socket.socket], object]] = (
    lambda sock: None,
    lambda sock: sock.close(),
    lambda sock: sock.sendall(string(bytes([5]))),
    lambda sock: sock.sendall(string(b"")),
    lambda sock: sock.sendall(b"\xff\xff\xff\xff"),
    listing(DAMAGED),
    listing(b""),
)


@pytest.mark.parametrize("answer", ODD)
def test_an_odd_ssh_agent_has_no_keys(
    folder: Path,
    tmp_path: Path,
    answer: Callable[[socket.socket], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identities, "ASKED_SECONDS", 0.5)
    key = write_key(folder / "id_ed25519")
    began = time.monotonic()
    with agent(tmp_path / "agent", answer):
        assert offered(folder) == [key.asbytes()]
    assert time.monotonic() - began < 5


def test_the_config_may_switch_the_ssh_agent_off_or_name_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = generate_key(), generate_key()
    monkeypatch.setenv("OTHER", str(tmp_path / "other agent"))
    with (
        agent(tmp_path / "agent", listing(mine)),
        agent(tmp_path / "other agent", listing(other)),
    ):
        assert offered(folder) == [mine.asbytes()]
        for name in ("$OTHER", "${OTHER}", f'"{tmp_path}/other agent"'):
            assert offered(folder, f"IdentityAgent {name}\n") == [other.asbytes()]
        assert offered(folder, "IdentityAgent SSH_AUTH_SOCK\n") == [mine.asbytes()]
        for name in ("none", f"{tmp_path}/nobody", "$UNSET_VARIABLE"):
            with pytest.raises(OpensshError, match="no key to log in with"):
                offered(folder, f"IdentityAgent {name}\n")


def test_keys_that_are_named_come_before_all_others_of_the_ssh_agent(
    folder: Path, tmp_path: Path
) -> None:
    """Only five keys are offered, so the one that fits must not be the sixth."""
    keys = [generate_key() for _ in range(8)]
    (folder / "lab.pub").write_text(f"{key_text(keys[7])} me@here\n")
    with agent(tmp_path / "agent", listing(*keys)):
        for config in ("IdentityFile ~/no\nIdentityFile {}/lab", "IdentityFile {}/lab.pub"):
            text = config.format(folder)
            assert offered(folder, text)[:2] == [keys[7].asbytes(), keys[0].asbytes()]
            assert offered(folder, f"{text}\nIdentitiesOnly yes\n") == [keys[7].asbytes()]


def test_a_locked_file_stands_for_its_key_in_the_ssh_agent(folder: Path, tmp_path: Path) -> None:
    keys = [generate_key() for _ in range(8)]
    (folder / "id_ed25519").write_text("locked")
    (folder / "id_ed25519.pub").write_text(f"{key_text(keys[6])}\n")
    with agent(tmp_path / "agent", listing(*keys)):
        assert offered(folder)[0] == keys[6].asbytes()
        assert len(offered(folder)) == 5
