"""A disk with the packages of servers, for guests that boot from our own initramfs.

It is an ext4 image of a root (packages/roots.py), made once and kept in the cache. All guests of a
suite share it, because none can write to it. `guests/setup/init.sh` finds it by its serial number.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine import seals
from harness.machine.lock import locked
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute, installed, last_will
from harness.protocols import NO_ROOT, ServerRoot, Transport
from harness.providers.packages import roots
from harness.providers.packages.roots import Root

logger = logging.getLogger(__name__)

TOOL = "mke2fs"

SERIAL = "servers"
"""The disk's serial number, by which the guest finds it."""

PATH = "/servers"
"""Where the guest mounts it."""

MODULES = ("virtio_blk",)
"""Drivers that the guest needs for it, besides those of our initramfs. Debian's kernels for virtual
machines have ext4 built in."""

BLOCK = 4096

FEATURES = "none,extent,filetype,dir_index,ext_attr,large_file,sparse_super"
"""Known to each kernel since 2.6.28. There is no journal, because nothing is written."""

SHAPE = "1"
"""Change this when images are made differently, so that cached ones are made anew."""


class ServerDisk(Struct, frozen=True):
    """An image, its sha256, and the root that is on it."""

    path: Path
    sha256: str
    root: Root


def refusal() -> str | None:
    """Return why this machine cannot make the disk; None if it can."""
    if installed(TOOL) is not None:
        return None
    return f"{TOOL} not found, needed to make the disk with the servers"


def prepare(
    packages: Sequence[str], suite: str | None, places: Places, deadline: Deadline
) -> ServerDisk:
    """Return the disk with these packages, of the suite that the guest's kernel is from."""
    root = roots.prepare(packages, roots.suites_of(suite), places, deadline)
    path = root.path.with_name(f"{root.path.name}.{SHAPE}.ext4")
    with locked(places.folder("locks") / f"{path.name}.lock", deadline) as ours:
        if not ours:
            raise ImageError(f"another run has been making {path} for too long")
        sha256 = seals.unbroken(path, places)
        if sha256 is None:
            began = time.monotonic()
            _make(root.path, path, places, deadline)
            sha256 = seals.seal(path, places)
            logger.info("made a disk of %s within %.0f s", root.suite, time.monotonic() - began)
    return ServerDisk(path, sha256, root)


def seen(transport: Transport, disk: ServerDisk, deadline: Deadline) -> ServerRoot:
    """Return where a guest has mounted the disk, or why its servers are not there."""
    done = transport.run(["test", "-e", f"{PATH}/etc/passwd"], timeout=deadline.left())
    if done.status == 0:
        return disk.root.seen_at(PATH)
    why = "its kernel cannot mount the disk with the servers: it has no virtio-blk or no ext4"
    names = {package.split()[0] for package in disk.root.packages} | set(disk.root.missing)
    return replace(NO_ROOT, missing=dict.fromkeys(sorted(names), why))


def _make(root: Path, path: Path, places: Places, deadline: Deadline) -> None:
    """Make an image that appears complete or not at all."""
    scratch = Path(tempfile.mkdtemp(dir=places.folder("scratch")))
    try:
        made = scratch / "disk"
        blocks, inodes = _size(root)
        argv = [installed(TOOL) or TOOL, "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-m", "0"]
        argv += ["-O", FEATURES, "-I", "256", "-N", str(inodes), "-L", SERIAL, "-d", str(root)]
        argv += ["-E", "root_owner=0:0,no_copy_xattrs", str(made), str(blocks)]
        done = execute([*last_will(), *argv], deadline)
        if done.status != 0:
            raise ImageError(f"{TOOL} cannot make the disk with the servers: {done.complaint}")
        made.replace(path)
    except ToolTimeoutError as exc:
        raise ImageError(f"{TOOL} did not make the disk with the servers in time") from exc
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _size(root: Path) -> tuple[int, int]:
    """Return how many blocks and inodes an image needs, with some to spare."""
    sizes = [path.lstat().st_size for path in _all(root)]
    blocks = sum(1 + size // BLOCK for size in sizes)
    inodes = len(sizes) + 64
    return blocks + blocks // 32 + inodes // (BLOCK // 256) + 2048, inodes


def _all(root: Path) -> Iterator[Path]:
    yield root
    yield from root.rglob("*")
