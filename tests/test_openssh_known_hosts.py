"""known_hosts is read as ssh(1) reads it; lines that are not about the host do not matter."""

from pathlib import Path

import paramiko
import pytest

from harness.model.guest import Remote
from harness.providers.openssh import KnownKeys, Openssh, OpensshError
from harness.transport import generate_key
from harness.transport.keys import key_text

NONE = Path("/no/such/system/config")


@pytest.fixture
def key() -> paramiko.PKey:
    return generate_key()


def known(folder: Path, text: str, remote: Remote | None = None) -> KnownKeys:
    (folder / "known_hosts").write_text(text)
    openssh = Openssh(folder, NONE)
    return openssh.host_keys(openssh.place(remote or Remote(host="lab")))


def blobs(keys: tuple[paramiko.PKey, ...]) -> list[bytes]:
    return [key.asbytes() for key in keys]


OTHERS = """\
# a comment
@cert-authority *.example ssh-rsa AAAA
other ssh-ed25519 AAAA
other sk-ssh-ed25519@openssh.com AAAA
other 1024 35 12345
|1|broken|hash ssh-ed25519 AAAA
|1| ssh-ed25519 AAAA
|9|a|b ssh-ed25519 AAAA
@unknown-marker other ssh-ed25519 AAAA
@cert-authority
lab
\x00\x01\x02
"""


def test_lines_about_others_and_broken_ones_do_not_matter(
    tmp_path: Path, key: paramiko.PKey, caplog: pytest.LogCaptureFixture
) -> None:
    found = known(tmp_path, f"{OTHERS}lab {key_text(key)} me@lab\n")
    assert blobs(found.keys) == [key.asbytes()]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "names", ["lab", "LAB", "other,lab", "l?b", "*", "*,!other", "\tlab", "lab,10.0.0.7"]
)
def test_a_line_is_about_a_host_that_one_of_its_patterns_fits(
    tmp_path: Path, key: paramiko.PKey, names: str
) -> None:
    assert blobs(known(tmp_path, f"{names} {key_text(key)}\n").keys) == [key.asbytes()]
    assert known(tmp_path, f"other,!l?b,lab {key_text(key)}\n").keys == ()


def test_a_port_is_part_of_the_name(tmp_path: Path, key: paramiko.PKey) -> None:
    at_port = Remote(host="lab", port=2200)
    text = f"[lab]:2200 {key_text(key)}\n"
    assert blobs(known(tmp_path, text, at_port).keys) == [key.asbytes()]
    assert known(tmp_path, text).keys == ()
    hashed = paramiko.HostKeys.hash_host("[lab]:2200")
    assert len(known(tmp_path, f"{hashed} {key_text(key)}\n", at_port).keys) == 1


def test_all_keys_of_a_host_count(tmp_path: Path, key: paramiko.PKey) -> None:
    other, third = generate_key(), paramiko.ECDSAKey.generate()
    text = "".join(f"lab {key_text(one)}\n" for one in (key, other, third, key))
    assert blobs(known(tmp_path, text).keys) == blobs((key, other, third))


def test_markers_are_kept_apart(tmp_path: Path, key: paramiko.PKey) -> None:
    other = generate_key()
    text = f"@revoked * {key_text(key)}\n@cert-authority l* {key_text(other)}\n"
    found = known(tmp_path, text)
    assert (found.keys, blobs(found.revoked)) == ((), [key.asbytes()])
    assert blobs(found.authorities) == [other.asbytes()]


@pytest.mark.parametrize("rest", ["ssh-ed25519 AAAA", "ssh-ed25519 %%%", "sk-ssh-x AAAA", "AAAA"])
def test_an_unreadable_key_of_the_host_itself_is_told(
    tmp_path: Path, rest: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert known(tmp_path, f"\nlab {rest}\n").keys == ()
    assert "known_hosts:2: this line is not used" in caplog.text


def test_the_config_names_other_files(tmp_path: Path, key: paramiko.PKey) -> None:
    (tmp_path / "my hosts").write_text(f"lab {key_text(key)}\n")
    (tmp_path / "config").write_text(
        f'UserKnownHostsFile "{tmp_path}/my hosts" /dev/null\nGlobalKnownHostsFile none\n'
    )
    assert len(known(tmp_path, "").keys) == 1
    (tmp_path / "config").write_text("UserKnownHostsFile /dev/null\n")
    assert known(tmp_path, f"lab {key_text(key)}\n").keys == ()


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").mkdir()
    openssh = Openssh(tmp_path, NONE)
    with pytest.raises(OpensshError, match=r"known_hosts cannot be read: Is a directory"):
        openssh.host_keys(openssh.place(Remote(host="lab")))
