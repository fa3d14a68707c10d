"""The box: the first sector of its disk, and the contents of the box file."""

import gzip
import io
import json
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import build
import disk
import pytest

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.providers.qemu.seed import HostKeys, user_data
from harness.transport.keys import make_key

MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("mcopy", "mformat", "syslinux"))) or not MBR.exists(),
    reason="no mtools or no syslinux here; the live tests get them from Debian's packages",
)


def test_the_boot_record_has_one_active_partition() -> None:
    record = disk.boot_record(b"\xeb\xfe")
    assert len(record) == 512
    assert (record[:2], record[510:]) == (b"\xeb\xfe", b"\x55\xaa")
    status, _, kind, _, start, count = struct.unpack_from("<B3sB3sII", record, 446)
    assert (status, kind) == (0x80, 0x0E)
    assert (start * 512, (start + count) * 512) == (disk.START, disk.TOTAL)
    assert record[462:510] == bytes(48)


def test_boot_code_that_would_overwrite_the_table_is_refused() -> None:
    with pytest.raises(ImageError, match="does not fit"):
        disk.boot_record(bytes(441))


@needs_tools
def test_the_disk_holds_what_the_boot_loader_names_and_is_the_same_each_time(
    tmp_path: Path,
) -> None:
    images = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        tools = disk.Tools(tmp_path / "none", MBR)
        images.append(disk.make(folder, b"a kernel", b"an initrd", tools, Deadline(60)))
    assert images[0].read_bytes() == images[1].read_bytes()
    source = f"{images[0]}@@{disk.START}"
    for name, content in (("vmlinuz", b"a kernel"), ("initrd", b"an initrd")):
        done = subprocess.run(
            ["mcopy", "-i", source, f"::{name}", "-"], capture_output=True, check=True
        )
        assert done.stdout == content
        assert name in disk.CONFIGURATION
    assert images[0].read_bytes()[disk.START + 3 :].startswith(b"SYSLINUX")


def test_a_tool_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="mformat not found"):
        disk.Tools(tmp_path, MBR).run(["mformat"], tmp_path, Deadline(5))


def test_a_tool_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="status 3: no room"):
        disk.Tools(tmp_path, MBR).run(
            ["sh", "-c", "echo no room >&2; exit 3"], tmp_path, Deadline(5)
        )


def test_a_box_is_an_archive_without_times_and_owners() -> None:
    files = {"metadata.json": b"{}", "key": b"secret", "Vagrantfile": build.VAGRANTFILE.encode()}
    packed = build.boxed(files)
    assert packed == build.boxed(files)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        modes = {member.name: (member.mode, member.mtime, member.uid) for member in tar}
    assert modes["key"] == (0o600, 0, 0)
    assert set(modes) == set(files)


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="no vagrant here")
def test_what_vagrant_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    (tmp_path / "linux-box.box").write_bytes(b"no archive")
    with pytest.raises(ImageError, match="vagrant box add"):
        build.add(tmp_path / "linux-box.box", Deadline(60))


def test_without_vagrant_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError) as caught:
        build.add(tmp_path / "linux-box.box", Deadline(5))
    assert "--out" in (caught.value.hint or "")


def test_the_scripts_of_the_box_are_shell(tmp_path: Path) -> None:
    for name in ("init.sh", "udhcpc.sh", "shutdown.sh"):
        subprocess.run(["sh", "-n", str(build.HERE / name)], check=True)


def test_the_seed_of_ours_is_understood_by_the_box(tmp_path: Path) -> None:
    """init.sh must extract with sed the same keys that seed.py writes."""
    key = make_key(tmp_path / "key")
    data = user_data("Linux", "root", key, HostKeys.generate())
    (tmp_path / "user-data").write_text(data)
    lines = (build.HERE / "init.sh").read_text().splitlines()
    scripts = [line for line in lines if line.lstrip().startswith("sed -n")]
    said = []
    for script in scripts:
        command = script.partition(" >")[0].replace('"$data"', str(tmp_path / "user-data"))
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        said.append(done.stdout)
    line = f"{key.get_name()} {key.get_base64()}"
    assert set(said[0].splitlines()) == {line}
    assert said[1].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert said[1].endswith("-----END OPENSSH PRIVATE KEY-----\n")


def test_metadata_names_the_format_that_vagrant_libvirt_reads(tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("no qemu-img here")
    raw = tmp_path / "disk.raw"
    raw.write_bytes(bytes(1 << 20))
    (tmp_path / "key").write_bytes(b"secret")
    image, box, key = build.pack(raw, tmp_path, Deadline(30))
    with tarfile.open(box) as tar:
        member = tar.extractfile("metadata.json")
        assert member is not None
        metadata = json.load(member)
        content = tar.extractfile("box.img")
        assert content is not None
        assert content.read() == image.read_bytes()
    assert metadata == {"provider": "libvirt", "format": "qcow2", "virtual_size": 1}
    assert key.read_bytes() == b"secret"
