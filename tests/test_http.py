"""Downloads over HTTP from servers that fail in several ways."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from downloading import DISK, get, image, refused
from msgspec.structs import replace
from web_server import Site, serving

from harness.deadline import Cancellation, Deadline
from harness.errors import ImageError
from harness.machine.places import Places
from harness.model import Image
from harness.providers.fetch import http
from harness.providers.fetch.download import fetch, pending


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


def test_a_download_that_is_cut_off_is_resumed(site: Site, places: Places) -> None:
    site.cut = [100_000, 50_000]
    assert Path(get(image(site), places).path).read_bytes() == DISK
    assert site.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_where_nothing_can_be_resumed_it_begins_anew(site: Site, places: Places) -> None:
    site.cut, site.ranges = [100_000], False
    assert Path(get(image(site), places).path).read_bytes() == DISK
    site.etag = None
    site.cut = [100_000]
    again = Image(site.address("disk.img"), sha512=hashlib.sha512(DISK).hexdigest())
    assert Path(get(again, places).path).read_bytes() == DISK


def test_a_file_that_changed_in_between_is_not_glued_together(site: Site, places: Places) -> None:
    site.cut = [100_000]
    other = DISK[::-1]
    wanted = Image(site.address("disk.img"), sha256=hashlib.sha256(other).hexdigest())
    with pytest.raises(ImageError, match="interrupted"):
        fetch(wanted, places, stopped_after(site))
    site.files["disk.img"], site.etag, site.cut = other, '"two"', []
    assert Path(get(wanted, places).path).read_bytes() == other


def stopped_after(site: Site) -> Deadline:
    """A deadline that is cancelled after the first request."""
    cancellation = Cancellation()

    def watch() -> None:
        while not site.asked:
            time.sleep(0.005)
        time.sleep(0.05)
        cancellation.say()

    threading.Thread(target=watch).start()
    site.silent = 0.2
    return Deadline(20, cancellation)


def test_an_interrupted_download_is_gone_on_with_by_the_next_run(
    site: Site, places: Places
) -> None:
    wanted = image(site)
    site.cut = [200_000]
    with pytest.raises(ImageError, match="interrupted"):
        fetch(wanted, places, stopped_after(site))
    assert "0 of 0 MiB downloaded" in (pending(wanted, places) or "")
    site.silent = 0.0
    assert Path(get(wanted, places).path).read_bytes() == DISK
    assert (site.asked[1] or "none").startswith("bytes=")


def test_a_part_that_is_longer_than_the_file_is_begun_anew(site: Site, places: Places) -> None:
    site.cut = [200_000]
    short = DISK[:1000]
    wanted = Image(site.address("disk.img"), sha256=hashlib.sha256(short).hexdigest())
    with pytest.raises(ImageError, match="interrupted"):
        fetch(wanted, places, stopped_after(site))
    site.files["disk.img"] = short
    assert Path(get(wanted, places).path).read_bytes() == short


def test_a_server_that_always_ends_early_is_given_up(site: Site, places: Places) -> None:
    site.cut, site.ranges = [1000] * 20, False
    assert "disk.img: " in str(refused(image(site), places))
    assert 2 <= len(site.asked) <= 6


def test_a_server_that_promises_more_than_it_has_is_given_up(site: Site, places: Places) -> None:
    site.length, site.ranges = len(DISK) + 1000, False
    began = time.monotonic()
    refused(image(site), places)
    assert time.monotonic() - began < 15


def test_a_server_that_promises_less_gives_another_file(site: Site, places: Places) -> None:
    site.length = 1000
    assert "(1000 bytes)" in str(refused(image(site), places))


def test_chunks_are_taken_and_their_end_is_noticed(site: Site, places: Places) -> None:
    site.chunked = True
    site.cut = [100_000]
    assert Path(get(image(site), places).path).read_bytes() == DISK


def test_what_is_not_there_is_said_at_once(site: Site, places: Places) -> None:
    assert "404" in str(refused(image(site, "none.img"), places))
    assert site.asked == [None]


def test_a_passing_trouble_passes(site: Site, places: Places) -> None:
    site.statuses = [503, 429]
    assert Path(get(image(site), places).path).read_bytes() == DISK


def test_a_server_that_falls_silent_is_left(
    site: Site, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SILENCE_SECONDS", 0.1)
    site.silent = 0.5
    began = time.monotonic()
    assert "timed out" in str(refused(image(site), places)).lower()
    assert time.monotonic() - began < 5


def test_a_trickle_does_not_outlive_the_deadline(site: Site, places: Places) -> None:
    site.trickle = 0.05
    began = time.monotonic()
    assert "too slow" in str(refused(image(site), places, seconds=0.5))
    assert time.monotonic() - began < 5


def test_nobody_at_the_address_is_said(places: Places, site: Site) -> None:
    wanted = replace(image(site), url="http://127.0.0.1:1/disk.img")
    assert "refused" in str(refused(wanted, places)).lower()


def test_a_host_without_a_name_is_asked_twice_and_not_waited_for_then(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    said = str(refused(Image("http://images.invalid/disk.img", unchecked=True), places))
    assert "Failed to resolve 'images.invalid'" in said
    assert len(pauses) == 1


def test_a_server_that_is_not_there_is_told_in_a_few_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(ImageError) as caught:
        http.fetch_text(f"http://127.0.0.1:{port}/list", Deadline(10))
    assert str(caught.value).endswith("[Errno 111] Connection refused")
    assert "Pool" not in str(caught.value)
