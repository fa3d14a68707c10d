"""Roots: folders with servers' packages that chroot(2) can enter, made by unpacking alone."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_archive import asked, offer, prepare
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.errors import ImageError, NotRunError
from harness.machine import cache
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.guest import Host
from harness.protocols import NO_ROOT
from harness.providers.host import ThisMachine
from harness.providers.packages import apt, mirror, root_tree, roots
from harness.providers.packages.roots import BASE, Root, suites_of
from harness.providers.workshop import Workshop

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None or mirror.refusal() is not None,
    reason="no dpkg-deb here, or not amd64",
)

SERVER = {
    "usr/sbin/server": "#!/bin/sh",
    "lib/x86_64-linux-gnu/libserver.so.1": "library",
    "usr/share/doc/server/README": "read me",
    "var/run/server/pid": "1",
    "etc/server/a b.conf": "configuration",
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive with a suite that has a server."""
    folder = prepare(tmp_path, monkeypatch)
    for name in BASE:
        offer(folder / "stable", name, "1", files={f"usr/share/{name}/x": name})
    offer(folder / "stable", "server", "2", files=SERVER)
    return folder


def made(places: Places, *names: str, suites: tuple[str, ...] = ("stable",)) -> Root:
    return roots.prepare(names, suites, places, Deadline(60))


def test_packages_are_laid_out_as_debian_installs_them(places: Places, archive: Path) -> None:
    root = made(places, "server")
    assert (root.suite, dict(root.missing)) == ("stable", {})
    assert os.readlink(root.path / "lib") == "usr/lib"
    library = "lib/x86_64-linux-gnu/libserver.so.1"
    assert (root.path / "usr" / library).read_text() == (root.path / library).read_text()
    assert (root.path / "run/server/pid").read_text() == "1"
    assert (root.path / "etc/server/a b.conf").is_file()
    assert not (root.path / "usr/share/doc").exists()
    assert "haproxy:*:101:101:" in (root.path / "etc/passwd").read_text()
    assert (root.path / "etc/resolv.conf").read_bytes() == b""
    for name in root_tree.EMPTY:
        assert (root.path / name).is_dir()
    assert stat.S_IMODE(root.path.stat().st_mode) == 0o755
    assert stat.S_IMODE((root.path / "tmp").stat().st_mode) == 0o1777
    described = [line.split() for line in root.packages]
    assert ["server", "2"] in [words[:2] for words in described]
    assert all(len(words[2]) == 64 for words in described)


def test_the_accounts_are_those_of_servers() -> None:
    lines = [line.split(":") for line in root_tree.FILES["etc/passwd"].splitlines()]
    assert len({line[2] for line in lines}) == len(lines)
    groups = [line.split(":") for line in root_tree.FILES["etc/group"].splitlines()]
    assert len({line[2] for line in groups}) == len(groups)
    assert {line[3] for line in lines} <= {line[2] for line in groups}


def test_a_program_is_never_set_user_id(places: Places, archive: Path) -> None:
    tree = archive / "stable" / "server"
    (tree / "usr/sbin/server").chmod(0o4755)
    argv = ["dpkg-deb", "--root-owner-group", "-b", str(tree), f"{tree}.deb"]
    subprocess.run(argv, check=True, capture_output=True)
    root = made(places, "server")
    assert stat.S_IMODE((root.path / "usr/sbin/server").stat().st_mode) == 0o755


def test_what_the_suite_lacks_is_said_and_the_rest_is_there(places: Places, archive: Path) -> None:
    offer(archive / "stable", "torn", "1")
    (archive / "stable" / "torn.broken").touch()
    root = made(places, "torn", "none", "server")
    assert (root.path / "usr/sbin/server").exists()
    assert root.missing["none"] == "Debian stable has no package none"
    assert root.missing["torn"].startswith("torn cannot be installed from Debian stable: ")
    assert "unmet" in root.missing["torn"]
    seen = root.seen_at("/servers")
    assert (seen.path, seen.suite, seen.missing) == ("/servers", "stable", root.missing)
    assert seen.provenance == {"servers_suite": "stable", "servers_sha256": root.sha256}


def test_a_suite_without_a_base_is_passed_over(places: Places, archive: Path) -> None:
    offer(archive / "stable-backports", "server", "3")
    root = made(places, "server", suites=("none", "stable-backports", "stable"))
    assert root.suite == "stable"
    with pytest.raises(NotRunError, match="the servers' packages"):
        made(places, "server", suites=("stable-backports",))


def test_a_root_is_made_once_and_remembered_for_a_day(
    places: Places, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(places, "server")
    before = asked(archive)
    assert made(places, "server") == root
    assert asked(archive) == before
    made_at = root.path.stat().st_ino
    monkeypatch.setattr(apt, "INDEX_SECONDS", -1)
    again = made(places, "server")
    assert (again.path, again.packages) == (root.path, root.packages)
    assert again.path.stat().st_ino == made_at
    assert made(places).path != root.path
    assert list((places.cache / "scratch").iterdir()) == []


def test_a_root_that_was_changed_is_made_anew(places: Places, archive: Path) -> None:
    root = made(places, "server")
    (root.path / "usr/sbin/server").write_text("#!/bin/evil")
    (root.path / "etc/more").write_text("more")
    again = made(places, "server")
    assert (again.path / "usr/sbin/server").read_text() == "#!/bin/sh"
    assert not (again.path / "etc/more").exists()


@pytest.mark.parametrize("target", ["/etc", "../../../../../etc"])
def test_no_package_writes_outside(
    places: Places, archive: Path, tmp_path: Path, target: str
) -> None:
    away = tmp_path / "etc"
    away.mkdir()
    offer(archive / "stable", "a-link", "1", files={"usr/share/way": f"-> {target}"})
    offer(archive / "stable", "b-file", "1", files={"usr/share/way/file": "text"})
    with pytest.raises(ImageError, match="link to elsewhere"):
        made(places, "a-link", "b-file")
    assert not (Path("/etc") / "file").exists()
    assert shelf(places) == []


def shelf(places: Places) -> list[str]:
    return sorted(path.name for path in places.folder(roots.SHELF).iterdir())


KILLED = """
import sys
from pathlib import Path
from harness.deadline import Deadline
from harness.machine.places import Places
from harness.providers.packages import roots
roots.prepare(("server",), ("stable",), Places(Path(sys.argv[1]), Path(sys.argv[2])), Deadline(60))
"""


def test_who_is_killed_while_unpacking_leaves_nothing_half(
    places: Places, archive: Path, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    slow = tmp_path / "bin" / "dpkg-deb"
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in -x*server.deb*) touch {held}; exec sleep 30 ;; esac\n'
        f'exec {shutil.which("dpkg-deb")} "$@"\n'
    )
    slow.chmod(0o755)
    argv = [sys.executable, "-c", KILLED, str(places.cache), str(places.state)]
    with subprocess.Popen(argv) as process:
        while not held.exists():
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert shelf(places) == []
    slow.unlink()
    assert made(places, "server").path.is_dir()
    assert len(shelf(places)) == 1


def test_a_cache_without_room_gives_roots_up_too(places: Places, archive: Path) -> None:
    root = made(places, "server")
    used = time.time() + 2 * cache.IN_USE_SECONDS
    assert cache.prune(places, 0, used) > 0
    assert not root.path.exists()
    assert made(places, "server").path.is_dir()


def test_this_machine_uses_the_folder_itself(
    places: Places, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "SUITES", ("none", "stable"))
    workshop = Workshop(places, lambda name: tmp_path / name)
    guest = Guest("h", "host", AgentSource(target="host"), host=Host())
    with ThisMachine(workshop).boot(guest, Deadline(60)) as transport:
        assert transport.server_root == NO_ROOT
        assert "servers_suite" not in transport.provenance
    assert not (archive / "asked").exists()
    asking = replace(workshop, packages=("server", "none"))
    with ThisMachine(asking).boot(guest, Deadline(60)) as transport:
        root = transport.server_root
        assert transport.provenance["servers_suite"] == "stable"
        assert transport.run(["test", "-x", f"{root.path}/bin"], timeout=30).status == 0
    assert list(root.missing) == ["none"]


def test_a_guest_has_the_servers_of_its_kernels_suite() -> None:
    assert suites_of("bullseye") == ("bullseye",)
    assert suites_of("trixie-backports") == ("trixie",)
    assert suites_of(None) == roots.SUITES
