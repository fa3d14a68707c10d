"""Files of a stranger: only regular files inside the folder are opened, and nothing waits."""

import ast
import os
import socket
from pathlib import Path

import pytest

from harness.machine import guarded
from harness.machine.guarded import IrregularFileError


def folder(tmp_path: Path) -> Path:
    """Return a folder with a file, beside a secret that is outside."""
    (tmp_path / "secret").write_bytes(b"key")
    inside = tmp_path / "run"
    (inside / "guests").mkdir(parents=True)
    (inside / "guests" / "log").write_bytes(b"said")
    return inside


def test_a_file_inside_is_read_appended_to_and_replaced(tmp_path: Path) -> None:
    inside = folder(tmp_path)
    log = inside / "guests" / "log"
    with guarded.file(log, "ab", inside=inside) as file:
        file.write(b" more")
    assert guarded.read(log, inside=inside) == b"said more"
    guarded.replace(log, b"new", inside=inside)
    assert guarded.read(log, inside=inside) == b"new"
    guarded.make_folder(inside / "guests" / "a" / "b", inside=inside)
    with guarded.file(inside / "guests/a/b/log", "a+b", inside=inside) as file:
        file.write(b"x")
    assert (inside / "guests/a").stat().st_mode & 0o077 == 0
    assert (inside / "guests/a/b/log").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in (inside / "guests").iterdir()) == ["a", "log"]


@pytest.mark.parametrize("mode", ["rb", "r+b", "ab", "a+b"])
def test_no_link_is_followed_to_a_file_or_a_folder(tmp_path: Path, mode: str) -> None:
    inside = folder(tmp_path)
    (inside / "file").symlink_to(tmp_path / "secret")
    (inside / "dangling").symlink_to(tmp_path / "nothing")
    (inside / "up").symlink_to(tmp_path)
    for path in ("file", "dangling", "up/secret", "up/run/guests/log"):
        with pytest.raises(IrregularFileError, match="is a link"):
            guarded.descriptor(inside / path, mode, inside=inside)
    with pytest.raises((IrregularFileError, ValueError), match=r"inside|subpath"):
        guarded.descriptor(inside / ".." / "secret", mode, inside=inside)
    assert (tmp_path / "secret").read_bytes() == b"key"
    assert not (tmp_path / "nothing").exists()


def test_no_folder_is_made_and_nothing_replaced_through_a_link(tmp_path: Path) -> None:
    inside = folder(tmp_path)
    (inside / "up").symlink_to(tmp_path)
    (inside / "file").symlink_to(tmp_path / "secret")
    with pytest.raises(IrregularFileError):
        guarded.make_folder(inside / "up" / "made", inside=inside)
    with pytest.raises(IrregularFileError):
        guarded.replace(inside / "up" / "secret", b"changed", inside=inside)
    with pytest.raises(IrregularFileError):
        guarded.check(inside / "file", inside=inside)
    guarded.replace(inside / "file", b"changed", inside=inside)
    assert (tmp_path / "secret").read_bytes() == b"key"
    assert guarded.read(inside / "file", inside=inside) == b"changed"
    assert not (tmp_path / "made").exists()


def test_what_the_user_named_may_be_a_link(tmp_path: Path) -> None:
    inside = folder(tmp_path)
    (tmp_path / "latest").symlink_to(inside)
    (tmp_path / "one").symlink_to(inside / "guests" / "log")
    assert guarded.read(tmp_path / "one") == b"said"
    named = tmp_path / "latest"
    assert guarded.read(named / "guests" / "log", inside=named) == b"said"


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
@pytest.mark.parametrize("confined", [True, False])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, confined: bool) -> None:
    path = tmp_path / "it"
    inside = tmp_path if confined else None
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path, inside = Path("/dev/zero"), Path("/dev") if confined else None
    for mode in ("rb", "ab"):
        with pytest.raises(IrregularFileError, match=f"is a {kind}, not a file"):
            guarded.descriptor(path, mode, inside=inside)
    with pytest.raises(IrregularFileError):
        guarded.read(path, inside=inside)


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(20 << 30)
    with pytest.raises(IrregularFileError, match="larger than 64 MiB"):
        guarded.read(path)
    path.write_bytes(b"12345")
    with pytest.raises(IrregularFileError, match="larger than 0 KiB"):
        guarded.read(path, 4)
    assert guarded.read(path, 5) == b"12345"


def test_a_file_that_grows_is_read_up_to_the_limit(tmp_path: Path) -> None:
    with pytest.raises(IrregularFileError, match="larger than"):
        guarded.read(Path("/proc/self/status"), 10)  # its size is 0, whatever it holds


def test_a_file_with_a_second_name_is_read_and_not_written(tmp_path: Path) -> None:
    inside = folder(tmp_path)
    os.link(tmp_path / "secret", inside / "hard")
    assert guarded.read(inside / "hard", inside=inside) == b"key"
    for mode in ("r+b", "ab", "a+b"):
        with pytest.raises(IrregularFileError, match="second name"):
            guarded.descriptor(inside / "hard", mode, inside=inside)


def test_a_file_that_cannot_be_written_leaves_no_scratch(tmp_path: Path) -> None:
    inside = folder(tmp_path)
    with pytest.raises(OSError, match="directory"):
        guarded.replace(inside / "guests", b"x", inside=inside)
    assert [path.name for path in inside.iterdir()] == ["guests"]


HARNESS = Path(__file__).parent.parent / "harness"

OPENING = {"open", "fdopen", "read_text", "read_bytes", "write_text", "write_bytes", "from_path"}
"""Names of functions and methods that open a file by its path."""

DIRECT = {
    "agent/build.py": "the sources and what the compiler has just made",
    "machine/architecture.py": "/proc",
    "machine/capacity.py": "/proc and /sys",
    "machine/files.py": "a temporary file of its own, which mkstemp made",
    "machine/guarded.py": "this is the one way",
    "machine/pid.py": "/proc",
    "providers/accelerators.py": "/proc, and a firmware of its own in a new folder",
    "providers/fetch/http.py": "a download under way, in the user's cache",
    "providers/fetch/unpack.py": "a download that was verified, in the user's cache",
    "providers/gvisor/sandbox.py": "files of its own, in the lease's folder",
    "providers/openssh/config.py": "the user's ~/.ssh, and the system's configuration of ssh",
    "providers/openssh/identities.py": "the user's ~/.ssh",
    "providers/openssh/known_hosts.py": "the user's ~/.ssh",
    "providers/packages/apt.py": "apt's configuration, and what is written for apt",
    "providers/packages/root_tree.py": "a new folder in the user's cache",
    "providers/qemu/images.py": "the script that comes with this program",
    "providers/qemu/initramfs.py": "packages in the user's cache, of which the seal was checked",
    "providers/qemu/machine.py": "the messages of QEMU, in the lease's folder",
    "providers/qemu/overlay.py": "a disk image, which may be a block device",
    "providers/qemu/seed.py": "a new file in the lease's folder",
    "providers/qemu/warm.py": "a new file in a new folder",
    "providers/qemu/warm_disk.py": "keys in a state of which the seal was checked",
    "providers/vagrant/boot.py": "a new file in the lease's folder",
    "providers/vagrant/libvirt.py": "locks and definitions in the user's cache",
    "providers/vagrant/machine.py": "the key that Vagrant made",
    "providers/vagrant/warm.py": "the Vagrantfile that comes with this program",
    "report/html.py": "the parts of the page that come with this program",
    "run/live_guest.py": "a file that a test's author names",
    "transport/keys.py": "a new key, or the user's",
    "run/visit.py": "the key that a lease names",
    "cluster/identity.py": "the sources of this program",
    "cluster/task.py": "a console's log in a new folder of its own",
    "cli/crash.py": "a new file, which mkstemp made",
    "cli/streams.py": "/dev/null, and the standard streams",
}
"""Modules that open files themselves, and why that is no stranger's file. `store`, `leases` and
`guests` are not among them."""


def opens(path: Path) -> list[int]:
    """Return the lines in which a module calls a function that opens a file."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = [
        (call.lineno, call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id)
        for call in calls
        if isinstance(call.func, ast.Attribute | ast.Name)
    ]
    return [line for line, name in names if name in OPENING]


def test_every_other_module_opens_files_in_the_guarded_way() -> None:
    found = {
        str(path.relative_to(HARNESS)): lines
        for path in sorted(HARNESS.rglob("*.py"))
        if (lines := opens(path))
    }
    news = {name: lines for name, lines in found.items() if name not in DIRECT}
    assert not news, f"use harness.machine.guarded, or say in DIRECT why not: {news}"
    assert not DIRECT.keys() - found.keys(), "these no longer open files"
    assert not [name for name in DIRECT if name.split("/")[0] in ("store", "leases", "guests")]
