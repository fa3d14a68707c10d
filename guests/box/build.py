"""Builds the box: a small Linux disk image from Debian's packages, for Vagrant and for QEMU.

`python guests/box/build.py --add` gives Vagrant's libvirt provider `reuseport-matrix/linux-box`;
`--out DIR` writes `linux-box.qcow2`, `linux-box.box` and `key`. No root, a few seconds.
"""

import argparse
import gzip
import io
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))  # a checkout that is not installed

import disk
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.deadline import Deadline
from harness.errors import HarnessError, ImageError
from harness.machine.places import Places
from harness.machine.process import ToolTimeoutError, execute
from harness.model import DebianKernel
from harness.providers.packages.debian import Debian, Unpacked
from harness.providers.qemu import images, initramfs
from harness.providers.qemu.cpio import DIRECTORY, FILE, PROGRAM, CpioEntry, archive
from harness.providers.qemu.initramfs import GuestKeys, Userland
from harness.transport.keys import make_key

NAME = "linux-box"
BOX = f"reuseport-matrix/{NAME}"

HERE = Path(__file__).parent

KERNEL = DebianKernel(("bookworm",), "linux-image-cloud-amd64")
"""The kernel that boots fastest under emulation; we never saw it fail there."""

TOOLS = ("mtools", "syslinux", "syslinux-common")

MODULES = (
    *initramfs.MODULES,
    *("virtio_blk", "scsi_common", "scsi_mod", "cdrom", "sr_mod", "libata", "ata_piix"),
    *("libahci", "ahci", "isofs", "evdev", "button"),
)
"""In load order. Those added here are for the seed's CD and the power button. The cloud kernel has
no AHCI, so it does not find the CD of a q35 machine."""

PROGRAMS = ("usr/sbin/dropbear", "usr/bin/dropbearconvert")

ACCOUNTS = {
    "etc/passwd": "root:*:0:0:root:/root:/bin/sh\n"
    "vagrant:*:1000:1000:vagrant:/home/vagrant:/bin/sh\n"
    "nobody:*:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nvagrant:x:1000:\nnogroup:x:65534:\n",
}

SCRIPTS = {
    "etc/udhcpc.sh": (PROGRAM, "udhcpc.sh"),
    "sbin/shutdown": (PROGRAM, "shutdown.sh"),
    "etc/inittab": (FILE, "inittab"),
}

POWER_BUTTON = CpioEntry("etc/acpi/PWRF/00000080", PROGRAM, b"#!/bin/sh\nexec /bin/poweroff\n")
"""Run by acpid (busybox, util-linux/acpid.c, f_act)."""

VAGRANTFILE = """\
# The box accepts only this key, which was made together with it.
Vagrant.configure("2") do |config|
  config.ssh.username = "root"
  config.ssh.private_key_path = File.expand_path("key", __dir__)
  config.ssh.insert_key = false
  config.ssh.shell = "sh"
  config.ssh.sudo_command = "%c"
  config.vm.guest = :linux
  config.vm.synced_folder ".", "/vagrant", disabled: true
end
"""

SECONDS = 600.0


def main() -> int:
    """Build the files that the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the files")
    parser.add_argument("--add", action="store_true", help=f"add it to Vagrant as {BOX}")
    asked = parser.parse_args()
    if asked.out is None and not asked.add:
        parser.error("give --out DIR or --add")
    try:
        with tempfile.TemporaryDirectory(prefix="linux-box-") as scratch:
            folder = asked.out or Path(scratch, "out")
            build(folder, Places.of_user(), Deadline(SECONDS))
            if asked.add:
                add(folder / f"{NAME}.box", Deadline(SECONDS))
    except (HarnessError, OSError) as exc:
        hint = exc.hint if isinstance(exc, HarnessError) else None
        say(f"error: {exc}" + (f"\nhint: {hint}" if hint else ""))
        return 1
    return 0


def say(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def build(out: Path, places: Places, deadline: Deadline) -> None:
    """Write the image, the box and the key into `out`; replace those of an earlier build."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".build-") as name:
        folder = Path(name)
        say("packages: a kernel, busybox, dropbear")
        archive_of = Debian(places)
        packages = archive_of.kernel(KERNEL, deadline)
        userland = archive_of.userland(deadline)
        kernel, package = images.image_in(packages)
        key = make_key(folder / "key")
        keys = GuestKeys(key, Ed25519PrivateKey.generate())
        say(f"disk image: {package.package} {package.version}")
        initrd = root_file_system(userland, packages, keys)
        tools = find_tools(folder / "tools", archive_of, deadline)
        raw = disk.make(folder, kernel.read_bytes(), initrd, tools, deadline)
        for made in pack(raw, folder, deadline):
            final = out / made.name
            made.replace(final)
            say(f"made {final} ({final.stat().st_size >> 10} KiB)")


def root_file_system(
    userland: Sequence[Unpacked], modules: Sequence[Unpacked], keys: GuestKeys
) -> bytes:
    """Return the archive that the kernel unpacks; later entries replace earlier ones."""
    roots = tuple(package.root for package in userland)
    init = (HERE / "init.sh").read_bytes()
    entries = [*initramfs.system(Userland(roots, init, PROGRAMS))]
    entries += initramfs.drivers([package.root for package in modules], MODULES)
    for path in ("home", "etc/acpi", "etc/acpi/PWRF", "run"):
        entries.append(CpioEntry(path, DIRECTORY))
    entries += [CpioEntry(path, FILE, text.encode()) for path, text in ACCOUNTS.items()]
    for path, (mode, source) in SCRIPTS.items():
        entries.append(CpioEntry(path, mode, (HERE / source).read_bytes()))
    return archive([*entries, POWER_BUTTON]) + initramfs.own(keys)


def find_tools(folder: Path, archive_of: Debian, deadline: Deadline) -> disk.Tools:
    """Return this machine's mtools and syslinux, or unpack Debian's without installing them."""
    boot_code = Path("/usr/lib/syslinux/mbr/mbr.bin")
    if all(map(shutil.which, ("mformat", "mcopy", "syslinux"))) and boot_code.exists():
        return disk.Tools(folder, boot_code)
    say("packages: mtools, syslinux")
    roots = [package.root for package in archive_of.tools(TOOLS, deadline)]
    folder.mkdir()
    # Link them into one folder: the packages' folders have colons, which would split PATH.
    for program in [path for root in roots for path in root.glob("usr/bin/*")]:
        (folder / program.name).symlink_to(program)
    for root in roots:
        for code in root.rglob("mbr.bin"):
            return disk.Tools(folder, code)
    raise ImageError("Debian's syslinux-common does not contain mbr.bin")


def pack(raw: Path, folder: Path, deadline: Deadline) -> Iterator[Path]:
    """Yield the finished files: the image as qcow2, the box, the key."""
    image = folder / f"{NAME}.qcow2"
    try:
        argv = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", str(raw), str(image)]
        done = execute(argv, deadline)
    except ToolTimeoutError as exc:
        raise ImageError("qemu-img did not end in time") from exc
    if done.status != 0:
        raise ImageError(f"qemu-img: {done.stderr.decode(errors='replace').strip()}")
    box = folder / f"{NAME}.box"
    # The format of vagrant-libvirt (its docs, "Box formats"); the virtual size is in whole GiB.
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": 1}
    box.write_bytes(
        boxed(
            {
                "metadata.json": json.dumps(metadata).encode(),
                "Vagrantfile": VAGRANTFILE.encode(),
                "key": (folder / "key").read_bytes(),
                "box.img": image.read_bytes(),
            }
        )
    )
    yield from (image, box, folder / "key")


def boxed(files: dict[str, bytes]) -> bytes:
    """Return a compressed tar archive of the files, without times and owners."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o600 if name == "key" else 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def add(box: Path, deadline: Deadline) -> None:
    """Add the box to Vagrant, and remove older versions of it.

    Each build gets a new version. vagrant-libvirt keeps images in its storage pool by name and
    version; for the same version it would use the old image, which accepts another key.
    """
    if shutil.which("vagrant") is None:
        raise ImageError(
            "vagrant not found: the box cannot be added",
            hint="`reuseport-matrix doctor --install`, or `--out DIR` to write only the files",
        )
    version = datetime.now(UTC).strftime("%Y.%m.%d%H%M%S")
    made = {"name": "libvirt", "url": box.absolute().as_uri()}
    catalogue = {"name": BOX, "versions": [{"version": version, "providers": [made]}]}
    with tempfile.TemporaryDirectory(prefix="linux-box-") as scratch:
        path = Path(scratch, "catalogue.json")
        path.write_text(json.dumps(catalogue))
        vagrant(["box", "add", "--provider", "libvirt", str(path)], deadline)
    vagrant(["box", "prune", "--force", "--name", BOX], deadline)
    say(f"added {BOX} {version}")


def vagrant(words: Sequence[str], deadline: Deadline) -> None:
    """Run Vagrant without its checks for updates; raise `ImageError` if it fails."""
    say(f"vagrant {' '.join(words)}")
    quiet = {"VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1"}
    try:
        done = execute(["vagrant", *words], deadline, environment=quiet)
    except ToolTimeoutError as exc:
        raise ImageError(f"vagrant {words[0]} did not end in time") from exc
    if done.status != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ImageError(f"vagrant {' '.join(words)}: status {done.status}: {said[-1000:]}")


if __name__ == "__main__":
    sys.exit(main())
