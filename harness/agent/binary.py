"""A program, and for which system and machine it was made, as its header says (ELF, Mach-O)."""

import hashlib
import struct

from msgspec import Struct

MACHINES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "i386": "x86",
    "i486": "x86",
    "i586": "x86",
    "i686": "x86",
}
"""What `uname -m` says, as Zig and the tables below call it."""

ELF_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
ELF_SYSTEMS = {3: "Linux", 9: "FreeBSD", 12: "OpenBSD"}
"""`e_machine` and EI_OSABI (System V ABI, ELF header). EI_OSABI 0 says nothing: Linux, NetBSD and
DragonFly programs have it; NetBSD and DragonFly then name themselves in a note."""

NOTED = {b"NetBSD\0": "NetBSD", b"DragonFly\0": "DragonFly", b"FreeBSD\0": "FreeBSD"}

MACH_O_MACHINES = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
"""`cputype` (mach/machine.h)."""

PT_NOTE = 4


class Program(Struct, frozen=True):
    """The agent as bytes, and where they came from."""

    content: bytes
    origin: str

    @property
    def sha256(self) -> str:
        """The digest that goes into the result."""
        return hashlib.sha256(self.content).hexdigest()


class Platform(Struct, frozen=True):
    """A system as `uname -s` names it and a machine; None is unknown, and fits anything."""

    system: str | None
    machine: str | None

    def fits(self, guest: "Platform") -> bool:
        """Whether a program for this platform can be expected to run on that one."""
        pairs = ((self.system, guest.system), (self.machine, guest.machine))
        return all(own == other or None in (own, other) for own, other in pairs)

    def __str__(self) -> str:
        """Say it as `uname -sm` would."""
        return f"{self.system or 'any system'} {self.machine or 'any machine'}"


def of_guest(uname: str) -> Platform:
    """Read `uname -sm`. A machine that we have no name for (NetBSD's evbarm) is unknown."""
    system, _, machine = uname.strip().partition(" ")
    name = MACHINES.get(machine, machine)
    known = {*ELF_MACHINES.values(), *MACH_O_MACHINES.values()}
    return Platform(system or None, name if name in known else None)


def of_program(content: bytes) -> Platform | None:
    """Read a program's header; None if it is neither ELF nor Mach-O (a script)."""
    try:
        if content.startswith(b"\x7fELF"):
            return _elf(content)
        if content.startswith(b"\xcf\xfa\xed\xfe"):
            return Platform("Darwin", MACH_O_MACHINES.get(struct.unpack_from("<I", content, 4)[0]))
    except (struct.error, IndexError):  # cut short: nothing can be said
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
    """Return the system that a 64-bit ELF file's notes name (elf(5), Notes)."""
    if content[4] != 2:
        return None
    table = struct.unpack_from(f"{order}Q", content, 32)[0]
    size, count = struct.unpack_from(f"{order}HH", content, 54)
    for header in range(table, table + size * count, size or 1):
        kind, offset, length = struct.unpack_from(f"{order}I4xQ16xQ", content, header)
        notes = content[offset : offset + min(length, 4096)] if kind == PT_NOTE else b""
        for name, system in NOTED.items():
            if name in notes:
                return system
    return None
