"""A program, and the system and machine it is for, according to its header (ELF, Mach-O)."""

import hashlib
import struct

from msgspec import Struct

from harness.machine.architecture import WIDER, named

ELF_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
ELF_SYSTEMS = {3: "Linux", 9: "FreeBSD", 12: "OpenBSD"}
"""`e_machine` and EI_OSABI (System V ABI, ELF header). EI_OSABI 0 does not identify the system:
Linux, NetBSD and DragonFly programs have it. Those for NetBSD and DragonFly also have a note."""

NOTED = {
    b"NetBSD\0": "NetBSD",
    b"DragonFly\0": "DragonFly",
    b"FreeBSD\0": "FreeBSD",
    b"OpenBSD\0": "OpenBSD",
    b"GNU\0" + bytes([0, 0, 0, 0]): "Linux",
}
"""The owner of a note, which follows the three words of its header. In GNU's ABI tag the system
follows the owner; 0 is Linux (Linux Standard Base, NT_GNU_ABI_TAG)."""

LOADED_BY = {b"/ld-linux": "Linux", b"/ld-musl": "Linux", b"/ld.elf_so": "NetBSD"}
"""The system, by a part of the path of the dynamic loader (PT_INTERP)."""

SYSTEMS = {
    "linux": "Linux",
    "freebsd": "FreeBSD",
    "netbsd": "NetBSD",
    "openbsd": "OpenBSD",
    "dragonfly": "DragonFly",
    "macos": "Darwin",
}
"""The second part of a Zig target, and the output of `uname -s` for it."""

MACH_O_MACHINES = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
"""`cputype` (mach/machine.h)."""

PT_INTERP, PT_NOTE = 3, 4


class Platform(Struct, frozen=True):
    """A system, named as by `uname -s`, and a machine. None means unknown and fits anything."""

    system: str | None
    machine: str | None

    def fits(self, guest: "Platform") -> bool:
        """Return whether a program for this platform may run on that of the guest.

        A 64-bit kernel may call itself a 32-bit one (`machine.architecture`), so then only the
        kernel can tell: it refuses a program that is not for it.
        """
        wider = WIDER.get(guest.machine or "")
        pairs = ((self.system, guest.system), (self.machine, guest.machine))
        return all(own in (other, wider) or None in (own, other) for own, other in pairs)

    def __str__(self) -> str:
        """Return the form that `uname -sm` prints."""
        return f"{self.system or 'any system'} {self.machine or 'any machine'}"


class Program(Struct, frozen=True):
    """A program's bytes, where they came from, and the Zig target if it is known."""

    content: bytes
    origin: str
    target: str | None = None

    @property
    def sha256(self) -> str:
        """The digest that is recorded in the results."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def platform(self) -> Platform | None:
        """The platform it runs on, from its header, or else from its target; None if unknown.

        The header of a static Linux program does not name a system. A BSD that emulates Linux would
        run such a program, but that would not measure the BSD, so the target is needed.
        """
        said = of_program(self.content)
        if self.target is None or (said is not None and said.system is not None):
            return said
        made_for = of_target(self.target)
        return made_for if said is None else Platform(made_for.system, said.machine)


def of_target(target: str) -> Platform:
    """Return the platform of a Zig target; unknown for anything else (a native build)."""
    machine, _, rest = target.partition("-")
    system = SYSTEMS.get(rest.partition("-")[0].partition(".")[0])
    return Platform(system, machine if system else None)


def of_guest(uname: str) -> Platform:
    """Return the platform from `uname -sm`; a machine without a name here (evbarm) is unknown."""
    system, _, machine = uname.strip().partition(" ")
    name = named(machine)
    known = {*ELF_MACHINES.values(), *MACH_O_MACHINES.values()}
    return Platform(system or None, name if name in known else None)


def of_program(content: bytes) -> Platform | None:
    """Return the platform from a program's header; None if it is not ELF or Mach-O (a script)."""
    try:
        if content.startswith(b"\x7fELF"):
            return _elf(content)
        if content.startswith(b"\xcf\xfa\xed\xfe"):
            return Platform("Darwin", MACH_O_MACHINES.get(struct.unpack_from("<I", content, 4)[0]))
    except (struct.error, IndexError):  # the file is cut short
        return Platform(None, None)
    if content.startswith(b"\xca\xfe\xba\xbe"):  # several machines in one file
        return Platform("Darwin", None)
    return None


def _elf(content: bytes) -> Platform:
    order = ">" if content[5] == 2 else "<"
    machine = struct.unpack_from(f"{order}H", content, 18)[0]
    system = ELF_SYSTEMS.get(content[7]) or _noted(content, order)
    return Platform(system, ELF_MACHINES.get(machine, f"ELF machine {machine}"))


def _noted(content: bytes, order: str) -> str | None:
    """Return the system that the notes or the loader of a 64-bit ELF file name (elf(5), Notes)."""
    if content[4] != 2:
        return None
    table = struct.unpack_from(f"{order}Q", content, 32)[0]
    size, count = struct.unpack_from(f"{order}HH", content, 54)
    for header in range(table, table + size * count, size or 1):
        kind, offset, length = struct.unpack_from(f"{order}I4xQ16xQ", content, header)
        names = {PT_NOTE: NOTED, PT_INTERP: LOADED_BY}.get(kind, {})
        text = content[offset : offset + min(length, 4096)]
        for name, system in names.items():
            if name in text:
                return system
    return None
