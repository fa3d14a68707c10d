"""Packages from an archive: our questions to apt, and what we do with its answers.

The archive is that of fake_archive.py.
"""

import shutil
from pathlib import Path

import pytest
from fake_archive import SCRIPT, asked, offer, prepare

from harness.deadline import Deadline
from harness.errors import NotRunError
from harness.machine.places import Places
from harness.model import DebianKernel
from harness.providers.packages import apt, mirror
from harness.providers.packages.apt import parse_packages, parse_stanzas, signed_by
from harness.providers.packages.debian import WANTED, Debian, is_wanted

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None or mirror.refusal() is not None,
    reason="no dpkg-deb here, or not amd64",
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive with two suites, and a fake apt for it; `asked` records apt's calls."""
    folder = prepare(tmp_path, monkeypatch)
    offer(folder / "old", "linux-image-cloud", "5", depends="linux-image-5")
    offer(folder / "old", "linux-image-5", "5", files={"boot/vmlinuz-5": "five", "boot/x": "x"})
    split = "linux-binary-7 (= 7), linux-modules-7 (= 7), kmod"
    offer(folder / "new", "linux-image-cloud", "7", depends="linux-image-7 (= 7)")
    offer(folder / "new", "linux-image-7", "7", depends=split)
    offer(folder / "new", "linux-binary-7", "7", files={"usr/lib/modules/7/vmlinuz": "seven"})
    tun = "usr/lib/modules/7/kernel/drivers/net/tun.ko.xz"
    offer(folder / "new", "linux-modules-7", "7", files={tun: "tun"})
    return folder


def kernel(*suites: str) -> DebianKernel:
    return DebianKernel(suites, "linux-image-cloud")


def names(places: Places, *suites: str) -> list[str]:
    return [found.package for found in Debian(places).kernel(kernel(*suites), Deadline(60))]


def test_a_kernel_is_followed_to_its_package(places: Places, archive: Path) -> None:
    found = Debian(places).kernel(kernel("old"), Deadline(60))
    (image,) = [package for package in found if package.package == "linux-image-5"]
    assert (image.version, image.suite, len(image.sha256)) == ("5", "old", 64)
    assert (image.root / "boot/vmlinuz-5").read_text() == "five"
    assert not (image.root / "boot/x").exists()


def test_who_wants_more_of_a_package_has_a_folder_of_their_own(
    places: Places, archive: Path
) -> None:
    little = Debian(places).kernel(kernel("old"), Deadline(60))
    more = Debian(places, wanted=(*WANTED, "boot/x")).kernel(kernel("old"), Deadline(60))
    assert not any((package.root / "boot/x").exists() for package in little)
    assert any((package.root / "boot/x").exists() for package in more)
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == little


def test_a_split_kernel_is_followed_to_all_its_parts(places: Places, archive: Path) -> None:
    found = {p.package: p for p in Debian(places).kernel(kernel("new"), Deadline(60))}
    assert (found["linux-binary-7"].root / "usr/lib/modules/7/vmlinuz").read_text() == "seven"
    assert list(found["linux-modules-7"].root.rglob("tun.ko.xz"))
    assert "kmod" not in found


def test_the_first_suite_that_offers_it_is_taken(places: Places, archive: Path) -> None:
    assert "linux-image-5" in names(places, "none", "old", "new")


def test_the_main_archive_is_asked_first(places: Places, archive: Path) -> None:
    names(places, "old")
    assert asked(archive).count("update") == 2  # --print-uris, then the suite's own


def test_the_answer_is_remembered_for_a_day(places: Places, archive: Path) -> None:
    first = Debian(places).kernel(kernel("old"), Deadline(60))
    before = asked(archive)
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first
    assert asked(archive) == before


def age(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "INDEX_SECONDS", -1)


def test_a_day_later_only_the_index_is_fetched_where_nothing_is_new(
    places: Places, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Debian(places).kernel(kernel("old"), Deadline(60))
    age(places, monkeypatch)
    made = first[0].root.stat().st_ino
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first
    assert first[0].root.stat().st_ino == made
    assert asked(archive).count(" -q update") == 2


def test_without_a_network_the_last_answer_holds(
    places: Places,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = Debian(places).kernel(kernel("old"), Deadline(60))
    (archive / "down").touch()
    age(places, monkeypatch)
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first
    assert "cannot reach" in caplog.text


def test_nothing_to_be_had_is_not_run_with_a_way_out(places: Places, archive: Path) -> None:
    for down in (False, True):
        if down:
            (archive / "down").touch()
        with pytest.raises(NotRunError, match="cannot fetch linux-image-cloud") as caught:
            names(places, "none")
        assert mirror.MIRROR in (caught.value.hint or "")


def test_the_user_may_name_a_mirror(
    places: Places, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mirror.MIRROR, "mirror://main")
    assert "linux-image-5" in names(places, "old")
    assert "--print-uris" not in asked(archive)


def test_a_deleted_package_is_fetched_again(places: Places, archive: Path) -> None:
    first = Debian(places).kernel(kernel("old"), Deadline(60))
    shutil.rmtree(places.cache / "packages")
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first
    assert first[0].root.is_dir()


def test_a_package_that_changed_in_the_cache_is_unpacked_anew(
    places: Places, archive: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Debian(places).kernel(kernel("old"), Deadline(60))
    (image,) = (path for package in first for path in package.root.rglob("vmlinuz-5"))
    image.write_text("fi")
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first
    assert image.read_text() == "five"
    assert f"{image.parent.parent} is not what was put into the cache" in caplog.text
    before = asked(archive)
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first
    assert asked(archive) == before
    assert list((places.cache / "scratch").iterdir()) == []


def test_a_package_that_changed_is_not_used_without_a_network_either(
    places: Places, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Debian(places).kernel(kernel("old"), Deadline(60))
    (image,) = (path for package in first for path in package.root.rglob("vmlinuz-5"))
    image.write_text("fi")
    (archive / "down").touch()
    age(places, monkeypatch)
    with pytest.raises(NotRunError, match="cannot fetch linux-image-cloud"):
        names(places, "old")


def test_what_an_earlier_version_fetched_is_used_only_without_a_network(
    places: Places, archive: Path
) -> None:
    first = Debian(places).kernel(kernel("old"), Deadline(60))
    shutil.rmtree(places.cache / "seals")
    before = asked(archive)
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first
    assert asked(archive) != before
    shutil.rmtree(places.cache / "seals")
    (archive / "down").touch()
    assert Debian(places).kernel(kernel("old"), Deadline(60)) == first


def test_checks_are_never_switched_off() -> None:
    text = f"{apt.CONFIGURATION} {SCRIPT}".lower()
    for word in ("allow", "trusted", "verify", "check-valid", "insecure"):
        assert word not in text


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/boot/vmlinuz-6.1", True),
        ("/usr/lib/modules/7/vmlinuz", True),
        ("/lib/modules/6/kernel/drivers/net/virtio_net.ko", True),
        ("/usr/lib/modules/6/kernel/net/core/failover.ko.xz", True),
        ("/lib/modules/6/kernel/drivers/gpu/drm/virtio/virtio-gpu.ko", False),
        ("/lib/modules/6/kernel/sound/snd.ko", False),
        ("/bin/busybox", True),
        ("/usr/lib/x86_64-linux-gnu/libz.so.1.2", True),
        ("/usr/lib/x86_64-linux-gnu/gconv/UTF-7.so", False),
        ("/lib64/ld-linux-x86-64.so.2", True),
        ("/usr/share/doc/x", False),
    ],
)
def test_of_a_package_little_is_kept(path: str, wanted: bool) -> None:
    assert is_wanted(path) == wanted


def test_an_index_entry_is_read() -> None:
    text = (
        "Package: a\nVersion: 1\nDepends: b (>= 2) | c, d:any\nSHA256: ab\nDescription: x\n more\n"
    )
    (package,) = parse_packages(f"{text}\n\n")
    assert (package.name, package.version, package.sha256) == ("a", "1", "ab")
    assert package.depends == ("b", "c", "d")


def test_the_machines_own_key_is_followed_in_either_format() -> None:
    lists = "# deb x\ndeb [arch=amd64 signed-by=/k/one.gpg] mirror://one/ stable main\n"
    lists += "deb mirror://bare stable main\n"
    modern = "Types: deb\nURIs: mirror://two\nSuites: x\nSigned-By:\n -----BEGIN\n .\n k\n"
    files = (lists, modern, "# Types: deb\n# URIs: mirror://three\n")
    assert signed_by(files, "mirror://one") == "/k/one.gpg"
    assert (signed_by(files, "mirror://two/") or "").endswith(" k")
    assert signed_by(files, "mirror://bare") is None
    assert signed_by(files, "mirror://three") is None


def test_stanzas_keep_continued_lines() -> None:
    assert parse_stanzas("A: 1\nB: 2\n 3\n\n# c\nA: 4\n") == ({"a": "1", "b": "2\n 3"}, {"a": "4"})
