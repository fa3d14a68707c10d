"""For which system a program was made is read from its header."""

import pytest

from harness.agent import binary


def elf_header(machine: int, system: int) -> bytes:
    start = b"\x7fELF" + bytes([2, 1, 1, system]) + bytes(10)
    return start + machine.to_bytes(2, "little") + bytes(44)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (elf_header(62, 0), "any system x86_64"),
        (elf_header(62, 3), "Linux x86_64"),
        (elf_header(183, 9), "FreeBSD aarch64"),
        (elf_header(8, 12), "OpenBSD ELF machine 8"),
        (b"\xcf\xfa\xed\xfe" + (0x0100000C).to_bytes(4, "little"), "Darwin aarch64"),
        (b"\xca\xfe\xba\xbe\0\0\0\2", "Darwin any machine"),
        (b"\x7fELF", "any system any machine"),
    ],
)
def test_a_programs_platform_is_read_from_its_header(content: bytes, expected: str) -> None:
    assert str(binary.of_program(content)) == expected


def test_a_script_has_no_platform() -> None:
    assert binary.of_program(b"#!/bin/sh\n") is None


@pytest.mark.parametrize(
    ("uname", "expected"),
    [
        ("Linux x86_64\n", "Linux x86_64"),
        ("FreeBSD amd64\n", "FreeBSD x86_64"),
        ("Darwin arm64\n", "Darwin aarch64"),
        ("NetBSD evbarm\n", "NetBSD any machine"),
        ("", "any system any machine"),
    ],
)
def test_uname_is_read_as_a_platform(uname: str, expected: str) -> None:
    assert str(binary.of_guest(uname)) == expected
