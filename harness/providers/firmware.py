"""A minimal firmware that tests an accelerator: it enters 64-bit long mode, then ends QEMU.

Real mode is not enough of a test: on some hosts KVM runs a whole BIOS and hangs once paging is on.
"""

ANSWER = 42
EXIT_STATUS = (ANSWER << 1) | 1
"""Writing ANSWER to isa-debug-exit (port 0xf4) ends QEMU with this (hw/misc/debugexit.c)."""

SIZE = 64 << 10
"""Bytes; QEMU maps the image at 0xF0000 and just below 4 GiB."""

RESET_VECTOR = SIZE - 16
JUMP = bytes([0xEA, 0x00, 0x00, 0x00, 0xF0])
"""ljmp $0xf000, $0"""

SOURCE = r"""
    .code16
start:
    cli
    xorw %ax, %ax
    movw %ax, %es
    movw $0x1000, %di          /* page tables at 0x1000: PML4, PDPT, one 1st GiB of 2 MiB pages */
    xorl %eax, %eax
    movl $0xC00, %ecx
    cld
    rep stosl
    movl $0x2003, %es:0x1000
    movl $0x3003, %es:0x2000
    movl $0x83, %es:0x3000     /* first 2 MiB, itself */
    movl $0x1000, %eax
    movl %eax, %cr3
    movl $0xA0, %eax           /* PAE, PGE */
    movl %eax, %cr4
    movl $0xC0000080, %ecx
    rdmsr
    orw $0x100, %ax            /* EFER.LME */
    wrmsr
    lgdtl %cs:(gdtr - start)
    movl $0x80000001, %eax     /* PG, PE */
    movl %eax, %cr0
    ljmpl $8, $(0xF0000 + long - start)
    .code64
long:
    xorl %eax, %eax
    cpuid
    movq $0x8000, %rsp
    pushq $42
    popq %rax
    outb %al, $0xf4
1:  hlt
    jmp 1b
    .balign 8
gdt: .quad 0, 0x00209A0000000000
gdtr: .word 15
    .long 0xF0000 + gdt - start
"""
"""Source of `PROGRAM` (as --64; objcopy -O binary -j .text); a test rebuilds and compares it."""

PROGRAM = bytes.fromhex(
    "fa31c08ec0bf00106631c066b9000c0000fc66f3ab2666c7060010032000002666c70600"
    "20033000002666c70600308300000066b8001000000f22d866b8a00000000f22e066b980"
    "0000c00f320d00010f302e660f0116900066b8010000800f22c066ea6a000f00080031c0"
    "0fa248c7c4008000006a2a58e6f4f4ebfd0f1f00000000000000000000000000009a2000"
    "0f0080000f00"
)


def image() -> bytes:
    """Return the firmware for QEMU's `-bios`."""
    content = bytearray(b"\xf4" * SIZE)
    content[: len(PROGRAM)] = PROGRAM
    content[RESET_VECTOR : RESET_VECTOR + len(JUMP)] = JUMP
    return bytes(content)
