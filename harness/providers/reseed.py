"""A program of a few bytes that lets a Linux guest draw new randomness from its pool at once.

busybox has none. What was kept of a guest has its random generator's state in it; a seed that is
written to /dev/urandom is used only when the generator is next renewed, up to minutes later
(drivers/char/random.c), or when somebody asks for it: ioctl(0, RNDRESEEDCRNG).
"""

import struct

SOURCE = r"""
    movl $16, %eax             /* ioctl */
    xorl %edi, %edi
    movl $0x5207, %esi         /* RNDRESEEDCRNG */
    syscall
    movl %eax, %edi            /* 0, or an errno that nobody mistakes for 0 */
    movl $60, %eax             /* exit */
    syscall
"""
"""What `CODE` was made from (as --64; objcopy -O binary -j .text); a test makes it again."""

CODE = bytes.fromhex("b81000000031ffbe075200000f0589c7b83c0000000f05")

SEED_BYTES = 64
"""What a guest is given to write to /dev/urandom before."""

BASE = 0x400000
HEADERS = 64 + 56


def program() -> bytes:
    """Return it as an ELF file of one segment (elf(5))."""
    size = HEADERS + len(CODE)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return identity + header + segment + CODE
