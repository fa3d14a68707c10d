"""A program of a few bytes that makes a Linux guest reseed its random generator at once.

A saved guest contains the state of its random generator. A seed that is written to /dev/urandom
takes effect only at the next reseeding, which may be minutes later (drivers/char/random.c), or when
a program calls ioctl(0, RNDRESEEDCRNG). busybox has no command for that.
"""

import struct

SOURCE = r"""
    movl $16, %eax             /* ioctl */
    xorl %edi, %edi
    movl $0x5207, %esi         /* RNDRESEEDCRNG */
    syscall
    movl %eax, %edi            /* 0, or a negative errno: not 0 */
    movl $60, %eax             /* exit */
    syscall
"""
"""Source of `CODE` (as --64; objcopy -O binary -j .text); a test rebuilds and compares it."""

CODE = bytes.fromhex("b81000000031ffbe075200000f0589c7b83c0000000f05")

SEED_BYTES = 64
"""Bytes that a guest gets to write to /dev/urandom before it reseeds."""

BASE = 0x400000
HEADERS = 64 + 56


def program() -> bytes:
    """Return the program as an ELF file with one segment (elf(5))."""
    size = HEADERS + len(CODE)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return identity + header + segment + CODE
