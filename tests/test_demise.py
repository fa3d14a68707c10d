"""Why a QEMU ended is told from its status, its messages and the console."""

import pytest
from msgspec.structs import replace

from harness.model.guest import Qemu
from harness.providers.qemu.demise import Demise, unseen

ASKED = Qemu(kernel="k", memory=48, machine="isapc", cpu="486", cpus=300)

SAID = [
    ("qemu: unsupported machine type", "correct `machine`"),
    ("qemu: unable to find CPU model 'nosuch'", "-cpu help"),
    ("qemu: -device nosuch,netdev=net: 'nosuch' is not a valid device model name", "-device help"),
    ("qemu: -device virtio-net-pci: No 'PCI' bus found for device", "`q35`"),
    ("qemu: Invalid SMP CPUs 300. The max CPUs supported", "it asks for 300"),
    ("qemu: cannot set up guest memory 'pc.ram': Cannot allocate memory", "it asks for 48 MiB"),
    ("error: failed to set MSR 0x10a\n../target/i386/kvm/kvm.c: Assertion", "`accelerator`"),
    ("Could not access KVM kernel module: No such file or directory", "`accelerator`"),
    ("Could not set up host forwarding rule 'tcp:127.0.0.1:0-:22'", "ip link set lo up"),
    ("qemu: -nosuch: invalid option", "correct `arguments`"),
]
"""Messages of QEMU 7.2, the first five and the last two of a real one on this machine."""


@pytest.mark.parametrize(("said", "hint"), SAID)
def test_what_qemu_says_leads_to_a_key_of_the_guest_file(said: str, hint: str) -> None:
    demise = Demise(1, said, "")
    assert demise.sentence == f"QEMU ended with status 1: {said}"
    assert hint in (demise.advice(ASKED) or "")


PRINTED = [
    ("Kernel panic - not syncing: System is deadlocked on memory", "it has 48 MiB"),
    ("Kernel panic - not syncing: VFS: Unable to mount root fs", "`root=`"),
    ("Kernel panic - not syncing: No working init found.", "`append`"),
    ("This kernel requires an x86-64 CPU, but only detected an i586 CPU.", "it has 486"),
]


@pytest.mark.parametrize(("console", "hint"), PRINTED)
def test_what_the_guest_printed_counts_as_well(console: str, hint: str) -> None:
    demise = Demise(0, "", console)
    assert demise.sentence == "the guest restarted or switched off, so QEMU ended"
    assert hint in (demise.advice(ASKED) or "")


def test_silence_names_what_was_asked_the_likeliest_first() -> None:
    demise = Demise(0, "", "")
    assert demise.advice(ASKED) == unseen(ASKED)
    small = replace(ASKED, machine=None, cpu=None)
    assert unseen(small).startswith(
        "likely causes in the guest file: too little `memory` (it has 48"
    )
    assert "a `machine`" in unseen(ASKED)
    large = replace(ASKED, memory=1024)
    assert unseen(large).index("486") < unseen(large).index("1024 MiB")


def test_what_is_not_known_gives_no_advice() -> None:
    assert Demise(1, "something new", "").advice(ASKED) is None
    assert Demise(0, "", "login:").advice(ASKED) is None
    assert "SIGABRT" in Demise(-6, "", "").sentence
