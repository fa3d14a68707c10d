"""ssh_config(5) is read as ssh(1) reads it; a bad line matters to the hosts of its block only."""

import getpass
import logging
from pathlib import Path

import pytest

from harness.model.guest import Remote
from harness.providers.openssh import Openssh, OpensshError

NONE = Path("/no/such/system/config")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def place(folder: Path, text: str, host: str = "lab") -> tuple[str, int, str]:
    (folder / "config").write_text(text)
    found = Openssh(folder, NONE).place(Remote(host=host))
    return found.host, found.port, found.user


READ = [
    ("Host lab\n  Port 2200\n", ("lab", 2200, "root")),
    ("Host=lab\nPort=2200\n", ("lab", 2200, "root")),
    ("Host\tlab\n\tPort = 2200\n\tUser  me\n", ("lab", 2200, "me")),
    ('Host "lab"\n  User "me"\n', ("lab", 22, "me")),
    ("Host lab # the machine in the corner\n  Port 2200 # not 22\n", ("lab", 2200, "root")),
    ("Host lab\n  User CORP\\me\n", ("lab", 22, "CORP\\me")),
    ("Host lab\n  User 'CORP\\a b' # comment\n", ("lab", 22, "CORP\\a b")),
    ("Host lab\n  User c#me\n", ("lab", 22, "c#me")),
    ("Host *.example !lab\n  Port 1\nHost l?b\n  Port 2\n", ("lab", 2, "root")),
    ("\ufeffHost lab\r\n  Port 2200\r\n", ("lab", 2200, "root")),
    ("host LAB\nHOST lab\n  PORT 2200\n", ("lab", 2200, "root")),
    ("Host lab\n  HostName %h.example\n", ("lab.example", 22, "root")),
    ("Host lab\n  ProxyCommand none\n  ProxyJump none\n", ("lab", 22, "root")),
    ("Host lab\n  Port 1\nHost *\n  Port 2\n  User me\n", ("lab", 1, "me")),
    ("UnknownWord yes\nHost lab\n  Port 3\n", ("lab", 3, "root")),
    ("Match host lab\n  Port 4\n", ("lab", 4, "root")),
    ("Match Host=lab\n  Port 4\n", ("lab", 4, "root")),
    ("Match host=* user=nobody\n  Port 4\n", ("lab", 22, "root")),
    ("Match !host other\n  Port 4\n", ("lab", 4, "root")),
    ("Match final all\n  Port 5\n", ("lab", 5, "root")),
    ("Match all\n  Port 5\n", ("lab", 5, "root")),
    ("Match localnetwork 10.0.0.0/8\n  Port 6\n", ("lab", 22, "root")),
    ("Match host lab tagged work\n  Port 6\nHost lab\n  User me\n", ("lab", 22, "me")),
    ("Match host lab exec false\n  Port 6\n", ("lab", 22, "root")),
]


@pytest.mark.parametrize(("text", "found"), READ)
def test_a_config_means_what_it_means_to_ssh(
    folder: Path, text: str, found: tuple[str, int, str]
) -> None:
    assert place(folder, text) == found


BAD = [
    ("Host lab\n  Port twentytwo\n", "config:2: expected a port from 1 to 65535, not `twentytwo`"),
    ("Host *\n\n  Port 70000\n", "config:3: expected a port"),
    ("Host lab\n  HostName\n", "config:2: expected a value after `hostname`"),
    ("nonsense\n", "config:1: expected a value after `nonsense`"),
    ('Host lab\n  User "me\n', "config:2: expected a second quotation mark"),
    ("Host\n  Port 1\n", "config:1: expected a pattern after `host`"),
    ("Match host\n  Port 1\n", "config:1: expected a pattern after `host`"),
    ("Host lab\n  CanonicalizeHostname yes\n", "cannot be used for lab"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_line_is_named_with_what_was_expected(folder: Path, text: str, said: str) -> None:
    with pytest.raises(OpensshError) as caught:
        place(folder, text)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "said"), BAD[:3:2] + BAD[1:2])
def test_no_other_hosts_block_matters(folder: Path, text: str, said: str) -> None:
    other = text.replace("Host *", "Host other").replace("Host lab", "Host other")
    assert place(folder, f"{other}Host lab\n  Port 7\n") == ("lab", 7, "root")
    assert said


def test_files_are_included_where_they_stand(folder: Path) -> None:
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "1").write_text("User of-all\nHost lab\n  Port 1\nHost other\n  Port 2\n")
    (folder / "conf.d" / "2").write_text("Host lab other\n  HostName %h.example\n")
    text = "Include conf.d/* no-such-file\nHost lab other\n  Port 9\n"
    assert place(folder, text) == ("lab.example", 1, "of-all")
    assert place(folder, text, "other") == ("other.example", 2, "of-all")
    assert place(folder, text, "third") == ("third", 22, "of-all")


def test_a_file_included_in_a_block_is_about_the_hosts_of_that_block(folder: Path) -> None:
    (folder / "inner").write_text("User me\nHost *\n  HostName inner\nMatch host other\n  Port 3\n")
    text = "Host lab\n  Include inner\n  Port 2\n"
    assert place(folder, text) == ("inner", 2, "me")
    assert place(folder, text, "other") == ("other", 22, "root")
    (folder / "inner").write_text("Port twentytwo\n")
    assert place(folder, text, "other") == ("other", 22, "root")
    with pytest.raises(OpensshError, match=r"inner:1: expected a port"):
        place(folder, text)


def test_a_file_that_includes_itself_is_said_so(folder: Path) -> None:
    with pytest.raises(OpensshError, match=r"config:1: more than 16 files include each other"):
        place(folder, "Include config\n")


def test_the_systems_config_comes_after_the_users(folder: Path) -> None:
    system = folder / "etc" / "ssh_config"
    system.parent.mkdir()
    (system.parent / "more").write_text("Host lab\n  Port 5\n  User system\n")
    system.write_text("Include more\n")
    (folder / "config").write_text("Host lab\n  User me\n")
    found = Openssh(folder, system).place(Remote(host="lab"))
    assert (found.port, found.user) == (5, "me")


def test_an_unsupported_block_is_logged_with_its_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        place(folder, "\nMatch localnetwork 10.0.0.0/8\n  Port 6\n")
    assert "config:2: ignoring a `Match localnetwork` block" in caplog.text


def test_a_config_that_is_a_folder_is_said_so(folder: Path) -> None:
    (folder / "config").mkdir()
    with pytest.raises(OpensshError, match=r"config cannot be read: Is a directory"):
        Openssh(folder, NONE).place(Remote(host="lab"))


def test_bytes_that_are_no_utf_8_harm_no_other_line(folder: Path) -> None:
    (folder / "config").write_bytes(b"# caf\xe9\nHost lab\n  Port 8\nHost other\n  User \xe9\n")
    found = Openssh(folder, NONE).place(Remote(host="lab"))
    assert (found.port, found.user) == (8, "root")


def test_a_user_without_a_name_needs_none_without_a_config(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert Openssh(folder, NONE).place(Remote(host="lab")).host == "lab"
    with pytest.raises(OpensshError, match="set LOGNAME"):
        place(folder, "Host lab\n  Port 8\n")


def test_an_alias_is_known_without_a_port(folder: Path) -> None:
    (folder / "config").write_text("Host lab\n  HostKeyAlias corner\n  Port 2200\n")
    assert Openssh(folder, NONE).place(Remote(host="lab")).known_as == "corner"
