"""Unpacking bzImages, which the tests build in every compression that Debian has used."""

import gzip
import hashlib
import lzma
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import lz4.block
import psutil
import pytest
import zstandard

from harness.errors import ImageError
from harness.machine.places import Places
from harness.providers.qemu import kernel
from harness.providers.qemu.kernel import UnknownFormatError, prepare, unpacked_elsewhere, vmlinux


def elf(note: int = kernel.XEN_ELFNOTE_PHYS32_ENTRY) -> bytes:
    """A 64-bit ELF file with one segment of two notes, followed by 9 MiB."""
    notes = struct.pack("<III", 4, 2, 1) + b"GNU\0" + b"ab\0\0"
    notes += struct.pack("<III", 4, 4, note) + b"Xen\0" + b"\0\0\0\1"
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    program = struct.pack("<IIQQQQQQ", kernel.PT_NOTE, 4, 120, 0, 0, len(notes), len(notes), 4)
    return header + program + notes + b"kernel!!" * (9 << 17)


def packed(inside: bytes, form: str = "gzip") -> bytes:
    return FORMATS[form](inside) + struct.pack("<I", len(inside))


def bz_image(payload: bytes, *, protocol: int = 0x20F, sectors: int = 4) -> bytes:
    image = bytearray((1 + sectors) * 512)
    image[0x1F1] = sectors
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, protocol)
    struct.pack_into("<II", image, 0x248, 16, len(payload))
    return bytes(image) + bytes(16) + payload + b"behind"


def lz4_legacy(content: bytes) -> bytes:
    parts = [kernel.LZ4_LEGACY]
    for at in range(0, len(content), kernel.LZ4_LEGACY_BLOCK):
        part = content[at : at + kernel.LZ4_LEGACY_BLOCK]
        block = lz4.block.compress(part, store_size=False)
        parts += [struct.pack("<I", len(block)), block]
    return b"".join(parts)


FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4_legacy,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip": gzip.compress,
    "xz": lzma.compress,
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.mark.parametrize("form", FORMATS)
def test_a_kernel_is_unpacked_with_what_the_build_appends(form: str) -> None:
    inside = elf()
    assert vmlinux(bz_image(packed(inside, form))) == inside


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_kernel_is_not_unpacked(form: str) -> None:
    payload = bytearray(packed(elf(), form))
    half = len(payload) // 2
    payload[half:-4] = b"\xff" * (len(payload) - half - 4)
    with pytest.raises(UnknownFormatError):
        vmlinux(bz_image(bytes(payload)))


def test_what_cannot_be_unpacked_says_why() -> None:
    whole = packed(elf())
    for image, why in (
        (b"MZ" * 2000, "no Linux boot header"),
        (b"", "no Linux boot header"),
        (bz_image(whole, protocol=0x207), "payload_offset"),
        (bz_image(whole)[:-100], "cut off"),
        (bz_image(b"BZh9" + whole), "unknown way"),
        (bz_image(packed(elf(note=17))), "PVH"),
        (bz_image(packed(b"no ELF file")), "PVH"),
    ):
        with pytest.raises(UnknownFormatError, match=why):
            vmlinux(image)


def test_zero_setup_sectors_mean_four() -> None:
    image = bytearray(bz_image(packed(elf())))
    image[0x1F1] = 0
    assert vmlinux(bytes(image)) == elf()


def test_a_kernel_is_unpacked_once(places: Places, tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bz_image(packed(elf())))
    first = prepare(image, places)
    assert first.path.read_bytes() == elf()
    written = first.path.stat().st_mtime_ns
    assert prepare(image, places) == first
    assert first.path.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", [b"", b"cut", elf()[:-1] + b"?"])
def test_a_cached_kernel_that_changed_is_unpacked_anew(
    places: Places, tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bz_image(packed(elf())))
    first = prepare(image, places)
    assert first.booted_sha256 == hashlib.sha256(elf()).hexdigest() != first.sha256
    first.path.write_bytes(damage)
    assert prepare(image, places) == first
    assert first.path.read_bytes() == elf()
    assert f"{first.path} is not what was put into the cache" in caplog.text


def test_a_kernel_that_an_earlier_version_cached_is_not_believed(
    places: Places, tmp_path: Path
) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bz_image(packed(elf())))
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    (places.folder("kernels") / f"vmlinux-{sha256[:32]}").write_bytes(b"something")
    assert prepare(image, places).path.read_bytes() == elf()


def test_an_unknown_kernel_is_booted_as_it_is(places: Places, tmp_path: Path) -> None:
    image = tmp_path / "kernel"
    image.write_bytes(b"what QEMU may understand")
    found = prepare(image, places)
    assert (found.path, found.booted_sha256) == (image, found.sha256)


def test_a_kernel_that_is_not_there_is_an_image_error(places: Places, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        prepare(tmp_path / "none", places)


def test_a_disk_that_takes_no_kernel_is_an_image_error(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bz_image(packed(elf())))
    failure = unpacked_elsewhere(image, tmp_path / "none" / "vmlinux")
    assert isinstance(failure, FileNotFoundError)


def test_an_unpacking_that_is_killed_is_an_image_error(places: Places, tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(bz_image(packed(elf())))

    def kill() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.kill()
                        return
            time.sleep(0.001)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ImageError, match="was killed"):
        prepare(image, places)
    killer.join()
    assert not [*places.folder("kernels").glob("vmlinux*")]
