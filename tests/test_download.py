"""Downloads of disk images: complete and verified, or absent."""

import bz2
import gzip
import hashlib
import lzma
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import zstandard
from downloading import DISK, get, image, left, refused
from msgspec.structs import replace
from web_server import Site, serving

from harness.deadline import Cancellation, Deadline
from harness.errors import ImageError
from harness.machine.places import Places
from harness.model import Checked, Image
from harness.providers.fetch import checksums, http
from harness.providers.fetch.download import Downloaded, fetch, pending

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstandard.compress,
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(http, "PAUSE", 0.01)
    monkeypatch.setattr(http, "SILENCE_SECONDS", 0.5)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Site({"disk.img": DISK})) as made:
        yield made


def test_an_image_is_downloaded_once_and_verified(site: Site, places: Places) -> None:
    wanted = image(site)
    assert pending(wanted, places) == wanted.url
    assert site.asked == []  # no request
    found = get(wanted, places)
    assert Path(found.path).read_bytes() == DISK
    assert (found.sha256, found.unpacked_sha256) == (wanted.sha256, wanted.sha256)
    assert found.verified == "sha256 of the guest file"
    assert pending(wanted, places) is None
    assert get(wanted, places) == found
    assert site.asked == [None]
    assert left(places) == [".image", ".json"]


@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_image_is_unpacked(kind: str, site: Site, places: Places) -> None:
    site.files[f"disk.raw.{kind}"] = packed = PACKERS[kind](DISK)
    found = get(image(site, f"disk.raw.{kind}"), places)
    assert Path(found.path).read_bytes() == DISK
    assert found.sha256 == hashlib.sha256(packed).hexdigest()
    assert found.unpacked_sha256 == hashlib.sha256(DISK).hexdigest()
    assert left(places) == [".image", ".json"]


def test_zstandard_in_several_frames_is_unpacked_whole(site: Site, places: Places) -> None:
    frames = zstandard.compress(DISK[:1000]) + zstandard.compress(DISK[1000:])
    site.files["disk.zst"] = frames
    assert Path(get(image(site, "disk.zst"), places).path).read_bytes() == DISK


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("damage", ["cut", "none"])
def test_what_cannot_be_unpacked_is_said_and_deleted(
    kind: str, damage: str, site: Site, places: Places
) -> None:
    whole = PACKERS[kind](DISK)
    site.files[f"disk.{kind}"] = whole[: len(whole) // 2] if damage == "cut" else b"sorry"
    assert "cannot be unpacked" in str(refused(image(site, f"disk.{kind}"), places))
    assert left(places) == []


@pytest.mark.parametrize("page", [b"\n<!DOCTYPE HTML>\n<title>moved", b"<html>", b"<?xml version"])
@pytest.mark.parametrize("sha256", [None, "ab" * 32])
def test_a_page_instead_of_an_image_is_said_and_deleted(
    page: bytes, sha256: str | None, site: Site, places: Places
) -> None:
    site.files["disk.img"] = page
    wanted = Image(site.address("disk.img"), sha256=sha256, unchecked=True)
    said = str(refused(wanted, places))
    assert f"{wanted.url}: a web page instead of an image (address never checked)" in said
    assert left(places) == []


CHECKED = Checked("2026-10-03", "downloaded and booted")


@pytest.mark.parametrize(
    ("checked", "unchecked", "said"),
    [
        (CHECKED, False, "last checked on 2026-10-03: downloaded and booted"),
        (None, True, "never checked"),
        (None, False, "last check unknown"),
    ],
)
def test_of_an_address_that_leads_nowhere_the_last_check_is_said(
    checked: Checked | None, unchecked: bool, said: str, site: Site, places: Places
) -> None:
    url = site.address("gone.img")
    error = str(refused(Image(url, checked=checked, unchecked=unchecked), places))
    assert f"{url}: HTTP status 404" in error
    assert said in error


def test_a_long_run_of_zeros_takes_no_room(site: Site, places: Places) -> None:
    site.files["disk.gz"] = gzip.compress(bytes(64 << 20) + b"end")
    path = Path(get(image(site, "disk.gz"), places).path)
    assert path.stat().st_size == (64 << 20) + 3
    assert path.stat().st_blocks * 512 < 1 << 20


def test_a_wrong_checksum_deletes_the_file(site: Site, places: Places) -> None:
    error = refused(image(site, sha256="ab" * 32), places)
    assert "ab" * 32 in str(error)
    assert hashlib.sha256(DISK).hexdigest() in str(error)
    assert left(places) == []


@pytest.mark.parametrize(
    "line",
    [
        "SHA256 (disk.img) = {256}\n",
        "SHA512 (images/disk.img) = {512}\n",
        "{512}  disk.img\n",
        "-----BEGIN PGP SIGNED MESSAGE-----\n\n{256} *./disk.img\n",
    ],
)
def test_the_vendors_list_is_asked(line: str, site: Site, places: Places) -> None:
    digests = {name: hashlib.new(f"sha{name}", DISK).hexdigest() for name in ("256", "512")}
    other = "SHA256 (other.img) = " + "00" * 32 + "\n"
    said = line.replace("{256}", digests["256"]).replace("{512}", digests["512"])
    site.files["images/disk.img"] = DISK
    site.files["CHECKSUM"] = (other + said).encode()
    wanted = Image(site.address("images/disk.img"), checksums=site.address("CHECKSUM"))
    assert get(wanted, places).verified == site.address("CHECKSUM")


@pytest.mark.parametrize(
    "text", ["", "MD5 (disk.img) = " + "ab" * 16, "SHA256 (other) = " + "0" * 64]
)
def test_a_list_without_the_file_is_no_permission(text: str, site: Site, places: Places) -> None:
    site.files["CHECKSUM"] = text.encode()
    wanted = Image(site.address("disk.img"), checksums=site.address("CHECKSUM"))
    assert "has no sha256 or sha512 for disk.img" in str(refused(wanted, places))
    assert site.asked == [None]  # only the list: the image was not requested


def test_of_two_files_of_one_name_the_one_in_the_folder_is_meant() -> None:
    text = f"{'1' * 64}  a/disk.img\n{'2' * 64}  b/disk.img\n"
    assert checksums.find(text, "x/b/disk.img", "list").digest == "2" * 64
    with pytest.raises(ImageError, match="different checksums"):
        checksums.find(text, "c/disk.img", "list")


def test_a_list_that_is_not_there_is_no_permission(site: Site, places: Places) -> None:
    wanted = Image(site.address("disk.img"), checksums=site.address("none"))
    assert "404" in str(refused(wanted, places))


def test_without_a_checksum_the_record_says_so(
    site: Site, places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    found = get(Image(site.address("disk.img")), places)
    assert found.verified == "nothing"
    assert found.vouched == f"its first download, on {date.today()}"
    assert "not verified" in caplog.text


def test_without_a_checksum_the_first_download_is_the_only_one_that_counts(
    site: Site, places: Places
) -> None:
    wanted = Image(site.address("disk.img"))
    get(wanted, places)
    for path in places.folder("downloads").iterdir():
        path.unlink()  # as `gc --cache` does
    site.files["disk.img"] = DISK[::-1]
    error = refused(wanted, places)
    assert hashlib.sha256(DISK).hexdigest() in str(error)
    assert hashlib.sha256(DISK[::-1]).hexdigest() in str(error)
    (pin,) = (places.state / "pins").iterdir()
    assert str(pin) in str(error.hint)
    assert left(places) == []
    pin.unlink()
    assert get(wanted, places).sha256 == hashlib.sha256(DISK[::-1]).hexdigest()


def test_a_disk_that_is_too_small_is_noticed_before_the_download(
    site: Site, places: Places
) -> None:
    site.length = 1 << 60
    error = refused(image(site), places)
    assert "the disk is full" in str(error)
    assert (site.asked, left(places)) == ([None], [])


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a tiny file system can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_while_unpacking_is_said_and_emptied(site: Site, tiny: Path) -> None:
    places = Places(tiny, tiny)
    site.files["disk.gz"] = gzip.compress(b"x" * (4 << 20))
    assert "the disk is full" in str(refused(image(site, "disk.gz"), places))
    assert left(places) == []


def test_many_at_once_download_once(site: Site, places: Places) -> None:
    wanted = image(site)
    site.silent = 0.2
    found: list[Downloaded] = []
    threads = [threading.Thread(target=lambda: found.append(get(wanted, places))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    assert (len(set(found)), site.asked) == (1, [None])


def test_who_waits_for_another_download_hears_an_interrupt(site: Site, places: Places) -> None:
    wanted = image(site)
    site.silent = 0.4
    first = threading.Thread(target=get, args=(wanted, places))
    first.start()
    while not site.asked:
        time.sleep(0.005)
    cancellation = Cancellation()
    cancellation.say()
    with pytest.raises(ImageError, match="another run"):
        fetch(wanted, places, Deadline(20, cancellation))
    first.join()


def test_an_unchecked_address_is_called_so(site: Site, places: Places) -> None:
    wanted = replace(image(site), unchecked=True)
    assert pending(wanted, places) == f"{wanted.url} (address unchecked)"
