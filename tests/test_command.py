"""QEMU's command line for guest files."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.model.guest import Qemu
from harness.providers.qemu.command import Parts, command_line

PARTS = Parts(
    "tag", "Linux", "tcg", Path("/c,1/console.log"), 7, kernel=Path("/k"), initrd=Path("/i")
)
DISK = Parts("tag", "Linux", "tcg", Path("/console.log"), 7, disk=Path("/d,1/disk.qcow2"))


def after(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_a_kernel_is_booted_directly_and_a_panic_ends_qemu() -> None:
    argv = command_line(Qemu(append="x=1"), PARTS)
    assert (after(argv, "-kernel"), after(argv, "-initrd")) == ("/k", "/i")
    assert after(argv, "-append") == "console=ttyS0 panic=-1 x=1"
    assert "-no-reboot" in argv
    assert "-drive" not in argv


def test_the_guest_reaches_nothing_and_its_port_is_picked_by_qemu() -> None:
    assert after(command_line(Qemu(), PARTS), "-netdev") == (
        "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"
    )


def test_a_lease_can_be_found_on_the_command_line() -> None:
    assert after(command_line(Qemu(), PARTS), "-name") == "tag"


def test_every_key_of_the_guest_file_is_honoured() -> None:
    qemu = Qemu(
        machine="q35",
        cpu="Nehalem",
        memory=384,
        cpus=2,
        nic="e1000",
        arguments=("-device", "virtio-rng-pci"),
    )
    argv = command_line(qemu, PARTS)
    assert after(argv, "-machine") == "q35"
    assert after(argv, "-cpu") == "Nehalem"
    assert (after(argv, "-m"), after(argv, "-smp")) == ("384", "2")
    assert "e1000,netdev=net,romfile=" in argv
    assert argv[-2:] == ["-device", "virtio-rng-pci"]


def test_a_card_without_firmware_is_not_told_to_have_none() -> None:
    assert "usb-net,netdev=net" in command_line(Qemu(nic="usb-net"), PARTS)


def test_a_disk_is_attached_by_interface_or_as_a_device() -> None:
    argv = command_line(Qemu(disk_interface="ide"), DISK)
    assert after(argv, "-drive") == "file=/d,,1/disk.qcow2,format=qcow2,if=ide"
    for name, controller, device in (
        ("scsi", "virtio-scsi-pci", "scsi-hd"),
        ("sata", "ahci", "ide-hd"),
    ):
        argv = command_line(Qemu(disk_interface=name), DISK)
        at = argv.index(f"{controller},id=disks")
        assert f"{device},drive=disk,serial=disk,bus=disks.0" in argv[at:]
    argv = command_line(Qemu(disk_interface="nvme"), DISK)
    assert after(argv, "-drive").endswith("if=none,id=disk")
    assert "nvme,drive=disk,serial=disk" in argv
    assert "-kernel" not in argv


def test_a_comma_in_a_path_does_not_end_it() -> None:
    assert "file,id=console,append=on,path=/c,,1/console.log" in command_line(Qemu(), PARTS)


def test_another_systems_kernel_is_told_what_its_file_says_alone() -> None:
    netbsd = replace(PARTS, system="NetBSD")
    assert after(command_line(Qemu(append="console=com"), netbsd), "-append") == "console=com"
    assert "-append" not in command_line(Qemu(), netbsd)


@pytest.mark.parametrize(
    ("system", "disks", "device"),
    [
        ("FreeBSD", "virtio", "ide-cd,drive=seed"),
        ("Linux", "ide", "ide-cd,drive=seed"),
        ("Linux", "virtio", "virtio-blk-pci,drive=seed,addr=0x1e"),
    ],
)
def test_a_seed_is_where_the_systems_first_drivers_find_it(
    system: str, disks: str, device: str
) -> None:
    parts = replace(DISK, system=system, seed=Path("/d,1/seed.iso"))
    argv = command_line(Qemu(disk_interface=disks), parts)
    drive = after(argv[argv.index("-drive") + 1 :], "-drive")
    assert drive.startswith("file=/d,,1/seed.iso,format=raw,")
    assert {"readonly=on", "id=seed"} <= set(drive.split(","))
    assert ("media=cdrom" in drive.split(",")) == device.startswith("ide-cd")
    assert device in argv
    assert not [word for word in command_line(Qemu(), DISK) if "cd" in word]


def test_a_card_may_have_options_and_still_boots_nothing_from_the_network() -> None:
    for nic in ("virtio-net-pci", "virtio-net-pci,ctrl_vq=off", "e1000"):
        assert f"{nic},netdev=net,romfile=" in command_line(Qemu(nic=nic), PARTS)
    assert "usb-net,x=1,netdev=net" in command_line(Qemu(nic="usb-net,x=1"), PARTS)


def test_a_linux_guest_on_a_pc_has_a_source_of_randomness() -> None:
    argv = command_line(Qemu(machine="q35"), PARTS)
    assert "virtio-rng-pci,rng=random" in argv
    assert after(argv, "-object").endswith("filename=/dev/urandom")
    for qemu, parts in (
        (Qemu(), replace(PARTS, system="NetBSD")),
        (Qemu(machine="microvm"), PARTS),
    ):
        assert "-object" not in command_line(qemu, parts)


def test_a_disk_finds_the_screen_of_a_pc() -> None:
    assert after(command_line(Qemu(), DISK), "-vga") == "std"
    assert "-vga" not in command_line(Qemu(machine="microvm"), DISK)
    assert "-vga" not in command_line(Qemu(), PARTS)
