"""Builds the command line of a guest's QEMU from the guest file and paths, without I/O."""

import shlex
from pathlib import Path

from msgspec import Struct

from harness.model.guest import Qemu
from harness.providers.qemu.server_disk import SERIAL

ARCHITECTURE = "x86_64"

PROGRAM = f"qemu-system-{ARCHITECTURE}"

CPU = "max"
"""All features of the accelerator: an emulated guest's SSH cryptography is 3 times as fast."""

STANDARD = {"linux": "console=ttyS0 panic=-1"}
"""System to the standard kernel parameters: console on the serial line, and restart at once after a
panic, which ends QEMU because of -no-reboot. Other systems get only their guest file's `append`."""

DRIVE_INTERFACES = ("ide", "sd", "mtd", "floppy", "pflash", "virtio")
"""The values of `-drive if=`; any other interface is the name of a device."""

ADAPTERS = {"scsi": ("virtio-scsi-pci", "scsi-hd"), "sata": ("ahci", "ide-hd")}
"""Interface to (controller, device): a PC refuses `if=scsi`, and `if=sata` does not exist."""

FORWARDED = "restrict=on,hostfwd=tcp:127.0.0.1:0"
"""No outgoing connections; one loopback port, which QEMU picks and holds, leads to the guest."""

ROM_CARDS = ("virtio-net-pci", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3")
"""Cards with firmware to boot from the network, which we do not need."""


LAST_SLOT = "0x1e"
"""A PCI slot that neither a `pc` nor a `q35` uses itself, behind those that QEMU gives out."""

RANDOM = ("rng-random,id=random,filename=/dev/urandom", "virtio-rng-pci,rng=random")
"""A source of randomness for a Linux guest: a kernel that has the driver need not wait for any."""


class Parts(Struct, frozen=True):
    """The parts of one boot. `monitor` and `line` are descriptors that QEMU inherits.

    `line` becomes a second serial line. With a `state` the guest resumes from that file.
    """

    tag: str
    system: str
    accelerator: str
    console: Path
    monitor: int
    kernel: Path | None = None
    initrd: Path | None = None
    disk: Path | None = None
    seed: Path | None = None
    servers: Path | None = None
    line: int | None = None
    state: Path | None = None


def command_line(qemu: Qemu, parts: Parts) -> list[str]:
    """Return QEMU's argv; the guest file's `arguments` come last, so they override the rest."""
    argv = [PROGRAM, "-name", parts.tag, "-nodefaults", "-no-user-config", "-display", "none"]
    argv += ["-no-reboot", "-m", str(qemu.memory), "-smp", str(qemu.cpus)]
    if qemu.machine is not None:
        argv += ["-machine", qemu.machine]
    argv += ["-accel", parts.accelerator, "-cpu", qemu.cpu or CPU]
    # Append, as the log also holds the guest's earlier boots.
    argv += ["-chardev", f"file,id=console,append=on,path={_escape(parts.console)}"]
    argv += ["-serial", "chardev:console"]
    argv += ["-chardev", f"socket,id=monitor,fd={parts.monitor}", "-mon", "monitor,mode=control"]
    if parts.line is not None:
        argv += ["-chardev", f"socket,id=line,fd={parts.line}", "-serial", "chardev:line"]
    argv += ["-netdev", f"user,id=net,{FORWARDED}-:{qemu.ssh.port}"]
    card = qemu.nic.partition(",")[0]  # options may follow: `virtio-net-pci,ctrl_vq=off`
    firmware = ",romfile=" if card in ROM_CARDS else ""
    argv += ["-device", f"{qemu.nic},netdev=net{firmware}"]
    if parts.system == "Linux" and _is_pc(qemu.machine):
        argv += ["-object", RANDOM[0], "-device", RANDOM[1]]
    argv += _direct_boot(qemu, parts)
    argv += _screen(qemu, parts)
    argv += _disks(qemu, parts)
    if parts.state is not None:
        argv += ["-incoming", f"exec:cat {shlex.quote(str(parts.state))}"]
    return [*argv, *qemu.arguments]


def _escape(path: Path) -> str:
    """Write a path as an option's value: a comma would end it, so it is doubled."""
    return str(path).replace(",", ",,")


def _direct_boot(qemu: Qemu, parts: Parts) -> list[str]:
    if parts.kernel is None:
        return []
    argv = ["-kernel", str(parts.kernel)]
    words = f"{STANDARD.get(parts.system.lower(), '')} {qemu.append}".strip()
    argv += ["-append", words] if words else []
    return argv if parts.initrd is None else [*argv, "-initrd", str(parts.initrd)]


def _screen(qemu: Qemu, parts: Parts) -> list[str]:
    """Return the options of a PC's screen: boot loaders and kernels on disks expect one."""
    typed = any(step.on == "screen" for step in qemu.console)
    wanted = _is_pc(qemu.machine) and (parts.disk is not None or typed)
    return ["-vga", "std"] if wanted else []


def _is_pc(machine: str | None) -> bool:
    """Whether a machine has a PC's PCI slots and screen; without a name it is QEMU's default."""
    return (machine or "pc").startswith(("pc", "q35"))


def _disks(qemu: Qemu, parts: Parts) -> list[str]:
    argv = [] if parts.disk is None else _drive(qemu.disk_interface, parts.disk)
    if parts.seed is not None:
        argv += _seed(parts.seed, parts.system, qemu.disk_interface)
    return argv if parts.servers is None else [*argv, *_servers(parts.servers)]


def _drive(interface: str, disk: Path) -> list[str]:
    drive = f"file={_escape(disk)},format=qcow2"
    if interface in DRIVE_INTERFACES:
        return ["-drive", f"{drive},if={interface}"]
    controller, device = ADAPTERS.get(interface, (None, interface))
    argv = [] if controller is None else ["-device", f"{controller},id=disks"]
    argv += ["-drive", f"{drive},if=none,id=disk"]
    bus = "" if controller is None else ",bus=disks.0"
    return [*argv, "-device", f"{device},drive=disk,serial=disk{bus}"]


def _seed(image: Path, system: str, disks: str) -> list[str]:
    """Attach a seed where the guest looks for it before it has loaded many drivers.

    Linux images boot from virtio disks, and their initramfs may lack the drivers of any other. The
    seed is then in the last slot: QEMU would give it one before the disk's, and SeaBIOS boots the
    first disk only. Elsewhere it is a CD on the machine's own controller: IDE of a `pc`, AHCI of a
    `q35`.
    """
    drive = f"file={_escape(image)},format=raw,if=none,readonly=on,id=seed"
    if system == "Linux" and disks == "virtio":
        return ["-drive", drive, "-device", f"virtio-blk-pci,drive=seed,addr={LAST_SLOT}"]
    return ["-drive", f"{drive},media=cdrom", "-device", "ide-cd,drive=seed"]


def _servers(image: Path) -> list[str]:
    """Attach the disk with servers; the guest finds it by its serial number."""
    drive = f"file={_escape(image)},format=raw,if=none,readonly=on,id={SERIAL}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={SERIAL},serial={SERIAL}"]
