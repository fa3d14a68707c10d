"""A downloaded image that refers to other files is refused before any of them is opened."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.providers.qemu.overlay import refuse_references

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here")


def create(folder: Path, *words: str) -> Path:
    """Make an image of 1 MiB beside a file of the user, and return its path."""
    (folder / "mine").write_bytes(b"secret" + bytes(1 << 20))
    argv = ["qemu-img", "create", "-q", *words, "image", "1M"]
    subprocess.run(argv, check=True, cwd=folder)
    return folder / "image"


@pytest.mark.parametrize("options", [("qcow2",), ("qcow2", "-o", "compat=0.10"), ("raw",)])
def test_an_image_of_one_file_is_taken(options: tuple[str, ...], tmp_path: Path) -> None:
    refuse_references(create(tmp_path, "-f", *options), Deadline(30))


BELOW = ("-f", "qcow2", "-b", "mine", "-F", "raw")

NAMING = {
    "has the backing file": BELOW,
    "has the backing file, in version 2": (*BELOW, "-o", "compat=0.10"),
    "data in another file": ("-f", "qcow2", "-o", "data_file=other,data_file_raw=on"),
    "vmdk, a description": ("-f", "vmdk", "-o", "subformat=monolithicFlat"),
    "vmdk, in one file": ("-f", "vmdk"),
    "vdi, which is rare": ("-f", "vdi"),
}


@pytest.mark.parametrize(("said", "words"), NAMING.items(), ids=NAMING)
def test_an_image_that_may_name_another_file_is_refused(
    said: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    image = create(tmp_path, *words)
    for other in tmp_path.glob("other"):
        other.unlink()  # otherwise qemu-img fails to open it
    with pytest.raises(ImageError, match=said.partition(",")[0]):
        refuse_references(image, Deadline(30))


def test_half_a_header_is_no_trace(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"QFI\xfb\0\0\0\3")
    with pytest.raises(ImageError, match="qemu-img"):
        refuse_references(image, Deadline(30))
