"""Makes a disk image that a PC's BIOS boots, without root, loop devices or mounts."""

import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine.process import ToolTimeoutError, execute

SECTOR = 512
TOTAL = 48 << 20
START = 1 << 20
"""Offset of the partition: aligned to 1 MiB, as partitioning tools do it."""

BOOT_CODE = 440
"""Bytes of boot code in a master boot record, before the signature and partition table."""

FAT16_LBA = 0x0E
ACTIVE = 0x80

NO_CHS = b"\xfe\xff\xff"
"""The value for "beyond cylinders, heads and sectors": the boot code then uses block numbers."""

SERIAL = 0x52504D58
"""Serial number of the disk and its file system: arbitrary, but the same in each build."""

EPOCH = "1577836800"
"""2020-01-01. mtools stamps files with SOURCE_DATE_EPOCH, so equal inputs give equal images."""

CONFIGURATION = """\
SERIAL 0 115200
DEFAULT linux
PROMPT 0
LABEL linux
  LINUX vmlinuz
  INITRD initrd
  APPEND console=ttyS0 panic=-1
"""
"""syslinux.cfg; panic=-1 restarts at once after a panic."""


class Tools(Struct, frozen=True):
    """The folder of mtools and syslinux, preferred to PATH, and the master boot record's code."""

    folder: Path
    boot_code: Path

    def run(self, argv: Sequence[str], folder: Path, deadline: Deadline) -> None:
        """Run a tool in `folder`; raise `ImageError`. syslinux itself calls mtools by name."""
        path = os.pathsep.join([str(self.folder), os.environ.get("PATH", os.defpath)])
        program = shutil.which(argv[0], path=path)
        if program is None:
            raise ImageError(f"{argv[0]} not found in {path}")
        # Start mtools by name: it shows mtools what to do. Its geometry checks are for floppies.
        environment = {"PATH": path, "MTOOLS_SKIP_CHECK": "1", "SOURCE_DATE_EPOCH": EPOCH}
        environment |= {"TZ": "UTC", "MTOOLSRC": os.devnull}
        try:
            done = execute([program, *argv[1:]], deadline, folder=folder, environment=environment)
        except ToolTimeoutError as exc:
            raise ImageError(f"{argv[0]} did not end in time") from exc
        if done.status != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise ImageError(f"{argv[0]}: status {done.status}: {said}")


def make(
    folder: Path,
    kernel: bytes,
    initrd: bytes,
    tools: Tools,
    deadline: Deadline,
    configuration: str = CONFIGURATION,
) -> Path:
    """Return a raw image in `folder` that boots `kernel` with `initrd`."""
    image = folder / "disk.raw"
    with image.open("wb") as disk:
        disk.write(boot_record(tools.boot_code.read_bytes()))
        disk.truncate(TOTAL)
    partition = f"{image.name}@@{START}"
    sectors = (TOTAL - START) // SECTOR
    geometry = ["-T", str(sectors), "-h", "255", "-s", "63", "-H", str(START // SECTOR)]
    serial = ["-N", f"{SERIAL:08x}", "-v", "BOX"]
    tools.run(["mformat", "-i", partition, *geometry, *serial, "::"], folder, deadline)
    files = {"vmlinuz": kernel, "initrd": initrd, "syslinux.cfg": configuration.encode()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    tools.run(["mcopy", "-i", partition, *files, "::"], folder, deadline)
    tools.run(["syslinux", "--install", "-t", str(START), image.name], folder, deadline)
    return image


def boot_record(code: bytes) -> bytes:
    """Return the first sector: boot code, one active partition, the signature."""
    if len(code) > BOOT_CODE:
        raise ImageError(f"boot code of {len(code)} bytes does not fit into {BOOT_CODE}")
    entry = struct.pack(
        "<B3sB3sII",
        ACTIVE,
        NO_CHS,
        FAT16_LBA,
        NO_CHS,
        START // SECTOR,
        (TOTAL - START) // SECTOR,
    )
    head = code.ljust(BOOT_CODE, b"\0") + struct.pack("<IH", SERIAL, 0)
    return head + entry.ljust(64, b"\0") + b"\x55\xaa"
