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

NOTED = {
    b"NetBSD\0": "NetBSD",
    b"DragonFly\0": "DragonFly",
    b"FreeBSD\0": "FreeBSD",
    b"OpenBSD\0": "OpenBSD",
    b"GNU\0" + bytes([0, 0, 0, 0]): "Linux",
}
"""Owner of a note, as it follows the three words of its header; GNU's ABI tag goes on with the
system, of which 0 is Linux (Linux Standard Base, NT_GNU_ABI_TAG)."""

LOADED_BY = {b"/ld-linux": "Linux", b"/ld-musl": "Linux", b"/ld.elf_so": "NetBSD"}
"""What the path of a dynamic program's loader tells (PT_INTERP)."""

SYSTEMS = {
    "linux": "Linux",
    "freebsd": "FreeBSD",
    "netbsd": "NetBSD",
    "openbsd": "OpenBSD",
    "dragonfly": "DragonFly",
    "macos": "Darwin",
}
"""The second word of a Zig target, as `uname -s` says it."""

MACH_O_MACHINES = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
"""`cputype` (mach/machine.h)."""

PT_INTERP, PT_NOTE = 3, 4


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


class Program(Struct, frozen=True):
    """The agent as bytes, where they came from, and the Zig target if we know it."""

    content: bytes
    origin: str
    target: str | None = None

    @property
    def sha256(self) -> str:
        """The digest that goes into the result."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def platform(self) -> Platform | None:
        """Where it runs: what its header says, and its target where that is silent.

        None if nothing is known. A static Linux program says nothing, and a BSD that emulates
        Linux would run it: that would not measure the BSD.
        """
        said = of_program(self.content)
        if self.target is None or (said is not None and said.system is not None):
            return said
        made_for = of_target(self.target)
        return made_for if said is None else Platform(made_for.system, said.machine)


def of_target(target: str) -> Platform:
    """Read a Zig target; what is no target (a native build) is unknown."""
    machine, _, rest = target.partition("-")
    system = SYSTEMS.get(rest.partition("-")[0].partition(".")[0])
    return Platform(system, machine if system else None)


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
        names = {PT_NOTE: NOTED, PT_INTERP: LOADED_BY}.get(kind, {})
        text = content[offset : offset + min(length, 4096)]
        for name, system in names.items():
            if name in text:
                return system
    return None
