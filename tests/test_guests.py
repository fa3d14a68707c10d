"""Guest files: their meaning, and that each mistake is reported with its line."""

import logging
import math
from pathlib import Path

import pytest

from harness import guests
from harness.errors import FileError, UsageError
from harness.guests import document
from harness.machine.resources import guests_folder
from harness.model import AgentSource, Guest

LINUX = """\
system: linux
qemu:
  memory: 384
  ssh: {user: tester}
tunables: [net.ipv4.tcp_migrate_req]
releases:
  linux-5.10:
    qemu: {debian: {suites: [bullseye], package: linux-image-cloud-amd64}}
  linux-6.12:
    qemu:
      memory: 512
      kernel: vmlinuz
      initrd: /boot/initrd
      ssh: {port: 2222, key: keys/id}
    agent: {path: bin/agent}
    tunables: []
"""


def load(folder: Path, text: str, name: str = "x.yaml") -> dict[str, Guest]:
    (folder / name).write_text(text)
    return dict(guests.load([folder]))


def mistake(folder: Path, text: str) -> FileError:
    with pytest.raises(FileError) as caught:
        load(folder, text)
    return caught.value


def one(**keys: str) -> str:
    """Return a guest file that is valid except for the given keys."""
    lines = {"name": "g", "system": "s", "host": "{}", **keys}
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def test_releases_are_merged_deeply_over_the_defaults(tmp_path: Path) -> None:
    found = load(tmp_path, LINUX)
    old, new = found["linux-5.10"], found["linux-6.12"]
    assert old.qemu is not None
    assert new.qemu is not None
    assert (old.qemu.memory, new.qemu.memory) == (384, 512)
    assert (old.qemu.ssh.user, new.qemu.ssh.user, new.qemu.ssh.port) == ("tester", "tester", 2222)
    assert (old.tunables, new.tunables) == (("net.ipv4.tcp_migrate_req",), ())
    assert old.system == "linux"
    assert old.source.endswith("x.yaml")


def test_a_relative_path_is_relative_to_the_file(tmp_path: Path) -> None:
    new = load(tmp_path, LINUX)["linux-6.12"]
    assert new.qemu is not None
    assert new.qemu.kernel == str(tmp_path / "vmlinuz")
    assert new.qemu.initrd == "/boot/initrd"
    assert new.qemu.ssh.key == str(tmp_path / "keys/id")
    assert new.agent.path == str(tmp_path / "bin/agent")


def test_the_agent_of_a_known_machine_needs_no_mention(tmp_path: Path) -> None:
    assert load(tmp_path, LINUX)["linux-5.10"].agent == AgentSource(target="x86_64-linux-musl")
    for nothing in (one(), one(agent="")):
        assert load(tmp_path, nothing)["g"].agent == AgentSource(target="host")


def test_agent_and_root_may_stand_in_qemu(tmp_path: Path) -> None:
    qemu = "{disk: a.qcow2, root: doas, agent: {build: guest-cc}}"
    found = load(tmp_path, one(qemu=qemu))["g"]
    assert (found.root, found.agent.build) == ("doas", "guest-cc")


def test_a_box_for_each_provider_of_vagrant(tmp_path: Path) -> None:
    boxes = "{libvirt: {box: a/b, version: '1'}, tart: {box: c/d, made_by: make box}}"
    ssh = "{user: admin, key: id}"
    text = one(vagrant=f"{{ssh: {ssh}, boxes: {boxes}}}", architecture="aarch64")
    found = load(tmp_path, text)["g"]
    assert found.vagrant is not None
    assert list(found.vagrant.boxes) == ["libvirt", "tart"]
    assert found.vagrant.boxes["libvirt"].version == "1"
    assert found.vagrant.ssh.key == str(tmp_path / "id")
    assert found.architecture == "aarch64"


def test_an_image_says_how_its_address_was_checked(tmp_path: Path) -> None:
    image = "{url: 'https://a/b.xz', checked: {on: '2026-11-23', how: fetched}}"
    found = load(tmp_path, one(qemu=f"{{image: {image}, seed: nocloud}}"))["g"]
    assert found.qemu is not None
    assert found.qemu.image is not None
    assert found.qemu.image.checked is not None
    assert found.qemu.image.checked.how == "fetched"


def test_a_machine_that_exists_is_a_guest(tmp_path: Path) -> None:
    ssh = "{host: lab.example, user: me, key: k}"
    found = load(tmp_path, "name: mac\nsystem: macos\nagent: {target: aarch64-macos}\nssh: " + ssh)
    assert found["mac"].ssh is not None
    assert found["mac"].ssh.key == str(tmp_path / "k")


def test_a_later_folder_replaces_a_guest_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(one(notes=name))
    with caplog.at_level(logging.INFO):
        found = guests.load([tmp_path / "ours", tmp_path / "theirs"])
    assert found["g"].notes == "theirs"
    assert "replaces" in caplog.text


def test_our_own_guest_files_are_right() -> None:
    found = guests.load([guests_folder()])
    assert found["host"].host is not None


MISTAKES = [
    ("unknown key", one(qemu="{memroy: 5}"), 4, "`memroy`", "`memory`"),
    ("unknown key of a guest", one(tuneables="[]"), 4, "`tuneables`", "`tunables`"),
    ("unknown nested key", one(qemu="\n  ssh:\n    prot: 5"), 6, "`prot`", "`port`"),
    ("wrong type", one(qemu="\n  nic: e1000\n  memory: much"), 6, "expected int, got str", None),
    ("text for a list", one(tunables="abc"), 4, "expected a list, got str", None),
    ("yes for a mapping", one(host="yes"), 3, "expected a mapping, got bool", None),
    ("wrong item", one(tunables="\n  - a\n  - 5"), 6, "expected str, got int", None),
    ("yes is no text", one(system="yes"), 2, "expected str, got bool", None),
    ("wrong word", one(root="pfexec"), 4, "expected none, sudo, doas or su, got 'pfexec'", None),
    (
        "borrowed without a build",
        one(agent="{target: x86_64-netbsd, compiled_in: other}"),
        4,
        "`agent.compiled_in` goes with `build: guest-cc` only",
        None,
    ),
    ("wrong build", one(agent="{build: cc}"), 4, "expected guest-cc, got 'cc'", None),
    ("two disks", one(qemu="{disk: a, image: {url: 'https://a/b'}}"), 4, "exclude each", None),
    ("no address", one(qemu="\n  image: {url: a.img}"), 5, "expected https://", None),
    ("no image", one(qemu="\n  image: {sha256: a}"), 5, "missing required field url", None),
    ("no digest", one(qemu="\n  image: {url: 'http://a', sha256: abc}"), 5, "64 hexa", None),
    (
        "checked and not",
        one(qemu="{image: {url: 'http://a', unchecked: true, checked: {on: d, how: h}}}"),
        4,
        "both `checked` and `unchecked`",
        None,
    ),
    ("no box", one(vagrant="{boxes: {}}"), 4, "expected boxes for any of libvirt", None),
    ("no such provider", one(vagrant="\n  boxes:\n    kvm: {box: a/b}"), 6, "`kvm`", "libvirt"),
    ("nameless box", one(vagrant="\n  boxes:\n    libvirt: {version: '1'}"), 5, "field box", None),
    (
        "unknown key of a box",
        one(vagrant="\n  boxes:\n    libvirt: {box: a/b, verison: '1'}"),
        6,
        "`verison` is not a key of vagrant.boxes.*",
        "`version`",
    ),
    ("no such port", one(ssh="{port: 65536}"), 4, "expected 1 to 65535", None),
    ("nothing to boot", one(qemu="{memory: 64}"), 4, "`debian`, `kernel`, `disk` or `image`", None),
    (
        "two kernels",
        one(qemu="\n  kernel: k\n  debian: {suites: [s], package: p}"),
        5,
        "exclude",
        None,
    ),
    ("too small", one(qemu="{memory: 0}"), 4, "16 or more", None),
    ("not a number", one(qemu="{boot_timeout: .nan}"), 4, "1 or more", None),
    ("two sources", one(agent="{target: a, path: b}"), 4, "one of target, build, path", None),
    ("no source", one(agent="{}"), 4, "one of target, build, path", None),
    ("an agent of nothing", one(agent="''", qemu="{disk: d}"), 4, "expected a mapping", None),
    ("a source", one(source="x"), 4, "`source` is not a key of a guest", None),
    (
        "a name in a release",
        "releases: {a: {system: s, name: b}}\n",
        1,
        "`name` is not a key",
        None,
    ),
    ("no agent", "name: g\nsystem: s\nqemu: {disk: d}\n", 1, "no `agent`", "x86_64-linux-musl"),
    ("agent twice", one(agent="{target: a}", qemu="{agent: {target: b}}"), 5, "line 4", None),
    ("key twice", one() + "notes: a\nnotes: b\n", 5, "given twice (first in line 4)", None),
    ("name twice", "releases:\n  a: {system: s}\n  a: {}\n", 3, "given twice", None),
    ("no system", "name: g\nhost: {}\n", 1, "no `system`", None),
    ("no provider", "name: g\nsystem: s\n", 1, "no provider", None),
    ("no guest", "system: s\n", 1, "no guest", None),
    ("no releases", "system: s\nreleases: {}\n", 2, "no guest", None),
    ("name and releases", one() + "releases: {a: {}}\n", 4, "exclude each other", None),
    ("release is text", "system: s\nreleases:\n  a: text\n", 3, "expected a mapping", None),
    ("a list", "- a\n", 1, "expected a mapping", None),
    ("empty", "# nothing\n", 1, "is empty", None),
    ("not YAML", "name: [1, 2\nsystem: s\n", 2, "is not YAML", None),
    ("a tab", "name: g\n\tsystem: s\n", 2, "is not YAML", "spaces"),
    ("an alias", "name: &n g\nsystem: *n\n", 2, "aliases", None),
    ("a merge", "name: g\n<<: {system: s}\n", 2, "`<<`", None),
    ("a tag", "name: g\nsystem: !!python/name:os.system x\n", 2, "quote it", None),
    ("a tagged mapping", "name: g\nhost: !!python/object:os.x {}\n", 2, "quote it", None),
    ("nobody's home", one(agent="{path: '~no-such-user/x'}"), 4, "no user here", None),
    ("a NUL", one(notes=r'"a\0b"'), 4, "an invalid character", None),
    ("half a character", one(notes=r'"\ud800"'), 4, "an invalid character", None),
    ("half a character in a key", one() + 'releases: {"\\udfff": {}}\n', 4, "(NUL or a lone", None),
    ("an empty number", one(notes="!!int"), 4, "`` is not a valid int", None),
    ("a number of any size", one(notes="1:" * 40 + "1"), 4, "is too large a number", None),
    ("a long word", one(notes="1" * 99), 4, "1…` is too large", None),
    ("a date", one(notes="2026-01-02"), 4, "read as timestamp", None),
    ("a misfit", one(notes="!!int x"), 4, "`x` is not a valid int", None),
    ("a complex key", "? [a]\n: b\n", 1, "plain word", None),
    ("two documents", one() + "---\nname: h\n", 4, "second document", None),
    ("a path as a name", one(name="../x"), 1, "cannot be a guest's name", None),
    ("a reserved name", one(name="all"), 1, "cannot be a guest's name", None),
    ("too deep", "name: " + "[" * 5000 + "]" * 5000, 1, "levels deep", None),
]


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [case[1:] for case in MISTAKES],
    ids=[case[0] for case in MISTAKES],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, said: str, hint: str | None
) -> None:
    error = mistake(tmp_path, text)
    assert str(error).startswith(f"{tmp_path / 'x.yaml'}:{line}: ")
    assert said in str(error)
    if hint is not None:
        assert hint in str(error.hint)


def test_a_mistake_in_a_default_is_told_where_it_stands(tmp_path: Path) -> None:
    assert ":3: " in str(mistake(tmp_path, LINUX.replace("384", "'384'")))


def test_the_same_name_in_two_files_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(one())
    assert "already in" in str(mistake(tmp_path, one()))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name: g\0\n", b"#" * (document.SIZE_LIMIT + 1)])
def test_what_is_no_text_is_a_mistake(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(FileError, match=r"x\.yaml"):
        guests.load([tmp_path])


def test_a_folder_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not a folder"):
        guests.load([tmp_path / "none"])


def test_both_endings_of_a_guest_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(one(name="short"))
    assert set(load(tmp_path, one())) == {"short", "g"}


def test_numbers_keep_their_kind(tmp_path: Path) -> None:
    found = load(tmp_path, one(qemu="{boot_timeout: 90, kernel: k}"))["g"]
    assert found.qemu is not None
    assert math.isclose(found.qemu.boot_timeout, 90.0)


@pytest.fixture
def matrix(tmp_path: Path) -> dict[str, Guest]:
    (tmp_path / "host.yaml").write_text(one(name="host", system="host"))
    return load(tmp_path, LINUX)


def names(found: tuple[Guest, ...]) -> list[str]:
    return [guest.name for guest in found]


def test_a_name_a_system_and_everything_are_found_once(matrix: dict[str, Guest]) -> None:
    def never(guest: Guest) -> bool:
        raise AssertionError("asked for nothing")

    assert names(guests.select(matrix, ["linux-6.12", "linux"], never)) == [
        "linux-6.12",
        "linux-5.10",
    ]
    assert names(guests.select(matrix, ["Linux"], never)) == ["linux-5.10", "linux-6.12"]
    assert names(guests.select(matrix, ["host"], never)) == ["host"]
    assert len(guests.select(matrix, ["all"], never)) == 3


def test_available_is_what_this_machine_can_start(matrix: dict[str, Guest]) -> None:
    found = guests.select(matrix, ["available"], lambda guest: guest.host is not None)
    assert names(found) == ["host"]


def test_an_unknown_guest_is_answered_with_the_nearest(matrix: dict[str, Guest]) -> None:
    with pytest.raises(UsageError, match=r"no guest is called 'linux-6\.21'") as caught:
        guests.select(matrix, ["linux-6.21"], lambda guest: True)
    assert "linux-6.12" in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        guests.select(matrix, ["zzz"], lambda guest: True)
    assert "lists all guests" in str(caught.value.hint)
