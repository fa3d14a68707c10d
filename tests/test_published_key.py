"""The key that a publisher puts beside an image: pinned, and used for the first login only."""

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from web_server import Site, serving

from harness.deadline import Deadline
from harness.errors import FileError, ImageError
from harness.guests import load
from harness.machine.places import Places
from harness.model import Image
from harness.model.guest import Qemu
from harness.providers.fetch import http, pins, published_key
from harness.providers.qemu import images
from harness.transport.keys import make_key, read_key


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(http, "PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    make_key(tmp_path / "key")
    files = {"id_rsa": (tmp_path / "key").read_bytes(), "disk.img": bytes(1 << 20)}
    with serving(Site(files)) as made:
        yield made


def ready(site: Site) -> Image:
    """Return a ready image that others publish, with a key beside it."""
    return Image(site.address("disk.img"), key=site.address("id_rsa"), unchecked=True)


def refused(image: Image, places: Places) -> ImageError:
    with pytest.raises(ImageError) as caught:
        published_key.fetch(image, places, Deadline(10))
    assert not [*places.folder("downloads").glob("*.key")]
    return caught.value


def test_a_key_is_downloaded_once_for_its_user_alone(
    site: Site, places: Places, tmp_path: Path
) -> None:
    found = published_key.fetch(ready(site), places, Deadline(10))
    assert read_key(found.path).asbytes() == read_key(tmp_path / "key").asbytes()
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    assert found.sha256 == hashlib.sha256(site.files["id_rsa"]).hexdigest()
    assert published_key.fetch(ready(site), places, Deadline(10)) == found
    assert site.asked == [None]


def test_a_key_that_is_gone_is_said_with_its_address_and_last_check(
    site: Site, places: Places
) -> None:
    del site.files["id_rsa"]
    said = str(refused(ready(site), places))
    assert f"{site.address('id_rsa')}: HTTP status 404" in said
    assert "(address never checked)" in said


@pytest.mark.parametrize("content", [b"<html>sign in", b"", b"-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_what_is_no_key_is_refused(content: bytes, site: Site, places: Places) -> None:
    site.files["id_rsa"] = content
    assert f"{site.address('id_rsa')}: not a private key" in str(refused(ready(site), places))


def test_a_key_without_end_is_not_read_to_its_end(site: Site, places: Places) -> None:
    site.files["id_rsa"] = b"x" * (4 << 20)
    assert "too large for a private key" in str(refused(ready(site), places))


def test_another_key_than_at_first_is_refused(site: Site, places: Places, tmp_path: Path) -> None:
    found = published_key.fetch(ready(site), places, Deadline(10))
    found.path.unlink()
    make_key(tmp_path / "other")
    site.files["id_rsa"] = (tmp_path / "other").read_bytes()
    with pytest.raises(ImageError, match="when it was first used") as caught:
        published_key.fetch(ready(site), places, Deadline(10))
    assert "delete" in str(caught.value.hint)


def test_what_vouches_is_said_and_tls_only_where_it_was() -> None:
    assert pins.vouching("https://x/y", "2026-11-29") == "TLS and its first download, on 2026-11-29"
    assert pins.vouching("http://x/y", "2026-11-29") == "its first download, on 2026-11-29"


def test_a_guest_gets_a_key_of_ours_in_place_of_the_published_one(
    site: Site, places: Places, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "boot"
    folder.mkdir()
    qemu = Qemu(image=ready(site))
    assert images.refusal(qemu) is None
    made = images.prepare(qemu, places, folder, Deadline(30))
    assert made.published is not None
    assert made.published.asbytes() == read_key(tmp_path / "key").asbytes() != made.key.asbytes()
    assert Path(made.private).parent == folder
    first = made.provenance["image_vouched"]
    assert first.startswith("its first download, on ")
    assert made.provenance["published_key_vouched"] == first
    assert len(made.provenance["published_key_sha256"]) == 64
    (warning,) = [text for text in caplog.messages if "no vendor's own image" in text]
    assert warning.count(first) == 2
    with_sum = hashlib.sha256(site.files["disk.img"]).hexdigest()
    qemu = replace(qemu, image=replace(ready(site), sha256=with_sum))
    other = tmp_path / "other"
    other.mkdir()
    facts = images.prepare(qemu, places, other, Deadline(30)).provenance
    assert (facts["image_verified"], "image_vouched" in facts) == (
        "sha256 of the guest file",
        False,
    )


@pytest.mark.parametrize("other", ["seed: nocloud", "ssh: {key: id}"])
def test_a_guest_has_one_way_to_let_us_in(other: str, tmp_path: Path) -> None:
    image = "{url: 'https://x.org/y', key: 'https://x.org/z', unchecked: true}"
    text = f"name: g\nsystem: S\nagent: {{target: host}}\nqemu:\n  image: {image}\n  {other}\n"
    (tmp_path / "g.yaml").write_text(text)
    with pytest.raises(FileError, match="exclude each other"):
        load([tmp_path])
    (tmp_path / "g.yaml").write_text(text.replace("https://x.org/z", "/etc/key").replace(other, ""))
    with pytest.raises(FileError, match=r"image\.key`: expected https"):
        load([tmp_path])
