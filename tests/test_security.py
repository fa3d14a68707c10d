"""Promises of SECURITY.md about keys, files, ports and logs that no other test checks."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from fuzzed import LEASE
from msgspec.structs import replace
from ssh_server import serving
from sshd import write_key
from test_store import BEGUN, RAW, asked

from harness import guests, leases
from harness.deadline import Deadline
from harness.errors import BootError, InfrastructureError
from harness.leases import Login
from harness.machine.files import write_whole
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import Guest
from harness.model.guest import Qemu
from harness.providers.qemu import seed
from harness.providers.qemu.command import Parts, command_line
from harness.providers.qemu.login_line import LoginLine
from harness.run.visit import log_in
from harness.store import Store
from harness.transport import SshTransport
from harness.transport.keys import key_text, make_key

MACHINES = [guest for guest in guests.load([guests_folder()]).values() if guest.qemu]

PARTS = Parts("tag", "Linux", "tcg", Path("/console.log"), 7, kernel=Path("/k"), line=8)

OUTWARDS = re.compile(r"hostfwd|guestfwd|smb=|tcp:|udp:|telnet:|unix:|listen|server|bridge|tap|vnc")
"""The QEMU options that open a way in or out (qemu(1): -netdev, -chardev, -display)."""


@pytest.mark.parametrize("guest", MACHINES, ids=lambda guest: guest.name)
def test_a_machine_of_ours_has_no_way_out_and_one_in_from_this_machine(guest: Guest) -> None:
    assert guest.qemu is not None
    argv = command_line(guest.qemu, PARTS)
    ways = [word for word in argv if OUTWARDS.search(word)]
    forwarded = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:{guest.qemu.ssh.port}"
    assert ways == [forwarded]
    assert [word for word in argv if word in ("-netdev", "-nic", "-net")] == ["-netdev"]
    assert guest.qemu.arguments == ()


def test_only_the_guest_file_can_open_another_way() -> None:
    """The key `arguments` holds QEMU options, so only the author of a guest file decides."""
    way = ("-netdev", "user,id=out", "-device", "e1000,netdev=out")
    assert command_line(Qemu(arguments=way), PARTS)[-4:] == list(way)


@pytest.fixture
def careless() -> Iterator[None]:
    """A user whose umask gives everyone access."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless")
def test_whatever_the_umask_nobody_else_reads_what_is_of_a_guest(tmp_path: Path) -> None:
    places = Places(tmp_path / "cache", tmp_path / "state")
    with leases.hold(places, "g") as tenancy:
        key = make_key(tenancy.folder / "key")
        seed.make(tenancy.folder / "seed.iso", "Linux", "root", key)
        write_whole(places.folder("deep", "down") / "file", b"x")
        with Store.create(tmp_path / "run", BEGUN) as store:
            store.guest("one").answered(asked(), RAW)
        made = [*tmp_path.rglob("*")]
        names = {path.name for path in made if path.is_file()}
        assert names > {"key", "seed.iso", "file", "journal.jsonl", "agent.jsonl"}
        open_to_others = [path for path in made if path.stat().st_mode & 0o077]
        assert [path for path in open_to_others if tmp_path / "run" not in path.parents] == []


def test_each_guest_has_a_key_of_its_own(tmp_path: Path) -> None:
    first, second = (make_key(tmp_path / name) for name in "ab")
    assert first.fingerprint != second.fingerprint
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "a")


def test_a_kept_guest_whose_host_key_changed_is_not_logged_in_to(tmp_path: Path) -> None:
    with serving() as server:
        server.user_key = write_key(tmp_path / "key")
        shown = key_text(server.host_key)
        login = Login("127.0.0.1", server.port, "root", str(tmp_path / "key"), shown)
        log_in(LEASE, login).close()
        other = paramiko.ECDSAKey.generate()
        for key in (write_key(tmp_path / "other"), other):
            changed = replace(login, host_key=key_text(key))
            with pytest.raises(BootError, match=r"not the pinned|has no ecdsa"):
                log_in(LEASE, changed)
        for damaged in ("", "ssh-unknown AAAA"):
            with pytest.raises(InfrastructureError, match="does not let us log in"):
                log_in(LEASE, replace(login, host_key=damaged))
        assert len(server.connections) == 3
        assert sum(one.is_authenticated() for one in server.connections) <= 1


def secrets_of(private: str) -> list[str]:
    """Return the lines of a private key that must stay secret."""
    return [line for line in private.splitlines() if line and not line.startswith("-----")]


def test_no_log_holds_a_key_however_much_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("harness", "paramiko", "harness.transport.paramiko"):
        caplog.set_level(logging.DEBUG, name)
    places = Places(tmp_path / "cache", tmp_path / "state")
    with serving() as server, leases.hold(places, "g") as tenancy:
        server.user_key = make_key(tenancy.folder / "key")
        private = (tenancy.folder / "key").read_text()
        made = seed.make(tenancy.folder / "seed.iso", "Linux", "root", server.user_key)
        transport = SshTransport.connect(
            "127.0.0.1", server.port, "root", server.user_key, server.host_key, Deadline(10), {}
        )
        transport.run(["true"], timeout=10)
        transport.close()
        hosts = made.host_keys.ed25519.private_bytes_raw().hex()
        told = told_to_a_guest(hosts)
    assert hosts in told
    said = caplog.text + "".join(capfd.readouterr())
    for secret in (*secrets_of(private), hosts):
        assert secret not in said
    assert not logging.getLogger("harness.transport.paramiko").propagate


def told_to_a_guest(credentials: str) -> str:
    """Pass a guest its credentials over the serial line; return what arrived."""
    with LoginLine() as line:
        line.theirs.sendall(b"ready\nup 0\n")
        line.until_ready(Deadline(5), lambda: None)
        assert line.tell(credentials, Deadline(5), lambda: None)
        return line.theirs.recv(4096).decode()
