"""A program of a few bytes that gives a Linux guest randomness, and makes it take effect at once.

A saved guest contains the state of its random generator. A seed that is written to /dev/urandom
takes effect only at the next reseeding, which may be minutes later (drivers/char/random.c), or when
a program calls ioctl(fd, RNDRESEEDCRNG). Such a seed is also worth nothing to a kernel that waits
for its first entropy: Linux 3.18 to 4.9 wait one to two minutes for it, and with them every program
that calls getrandom(2). ioctl(fd, RNDADDENTROPY) credits it (random(4)). busybox has no command for
either.
"""

import struct

SOURCE = r"""
    subq $72, %rsp             /* struct rand_pool_info: bits, bytes, and 64 bytes of a seed */
    xorl %eax, %eax            /* read */
    xorl %edi, %edi
    leaq 8(%rsp), %rsi
    movl $64, %edx
    syscall
    movl %eax, %edi            /* 0, or a negative errno */
    testl %eax, %eax
    jle unseeded
    movl %eax, 4(%rsp)
    shll $3, %eax
    movl %eax, (%rsp)
    movl $0x40085203, %esi     /* RNDADDENTROPY */
    movq %rsp, %rdx
    call control
    testl %edi, %edi
    jnz quit
    movl $0x5207, %esi         /* RNDRESEEDCRNG */
    call control
quit:
    movl $60, %eax             /* exit with 0, or with a negative errno, which is not 0 */
    syscall
unseeded:
    decl %edi
    jmp quit
control:
    movl $1, %edi              /* standard output */
    movl $16, %eax             /* ioctl */
    syscall
    movl %eax, %edi
    ret
"""
"""Source of `CODE` (as --64; objcopy -O binary -j .text); a test rebuilds and compares it.

It reads a seed from standard input; standard output is the random device. The status is 0, or a
negative errno: EINVAL if the seed was credited and the kernel cannot reseed at once (before 4.14).
"""

CODE = bytes.fromhex(
    "4883ec4831c031ff488d742408ba400000000f0589c785c07e2c89442404c1e003890424be035208404889e2"
    "e81900000085ff750abe07520000e80b000000b83c0000000f05ffcfebf5bf01000000b8100000000f0589c7"
    "c3"
)

SEED_BYTES = 64
"""Bytes that a guest gets: what the program reads, and twice what any Linux needs."""

BASE = 0x400000
HEADERS = 64 + 56


def program() -> bytes:
    """Return the program as an ELF file with one segment (elf(5))."""
    size = HEADERS + len(CODE)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return identity + header + segment + CODE
