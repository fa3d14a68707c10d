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


def with_segment(kind: int, text: bytes) -> bytes:
    """Return a 64-bit ELF file with one segment, for x86-64, of no system that its header names."""
    header = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(10) + (62).to_bytes(2, "little") + bytes(12)
    header += (64).to_bytes(8, "little") + bytes(14) + (56).to_bytes(2, "little")
    header += (1).to_bytes(2, "little") + bytes(6)
    segment = kind.to_bytes(4, "little") + bytes(4) + (120).to_bytes(8, "little") + bytes(16)
    return header + segment + len(text).to_bytes(8, "little") + bytes(16) + text


def note(owner: bytes, number: int, content: bytes) -> bytes:
    words = b"".join(word.to_bytes(4, "little") for word in (len(owner), len(content), number))
    return words + owner + bytes(-len(owner) % 4) + content


@pytest.mark.parametrize(
    ("program", "system"),
    [
        (with_segment(4, note(b"NetBSD\0", 1, bytes(4))), "NetBSD"),
        (with_segment(4, note(b"DragonFly\0", 1, bytes(4))), "DragonFly"),
        (with_segment(4, note(b"OpenBSD\0", 1, bytes(4))), "OpenBSD"),
        (with_segment(4, note(b"GNU\0", 1, bytes(16))), "Linux"),
        (with_segment(4, note(b"GNU\0", 3, b"build id of 20 bytes")), None),
        (with_segment(3, b"/lib64/ld-linux-x86-64.so.2\0"), "Linux"),
        (with_segment(3, b"/lib/ld-musl-x86_64.so.1\0"), "Linux"),
        (with_segment(3, b"/usr/libexec/ld.elf_so\0"), "NetBSD"),
        (with_segment(1, b"NetBSD\0"), None),
    ],
)
def test_a_system_is_known_by_its_note_or_its_loader(program: bytes, system: str | None) -> None:
    assert binary.of_program(program) == binary.Platform(system, "x86_64")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("x86_64-linux-musl", "Linux x86_64"),
        ("aarch64-freebsd.14.0", "FreeBSD aarch64"),
        ("x86_64-openbsd", "OpenBSD x86_64"),
        ("aarch64-macos", "Darwin aarch64"),
        ("native", "any system any machine"),
    ],
)
def test_a_target_is_read_as_a_platform(target: str, expected: str) -> None:
    assert str(binary.of_target(target)) == expected


def test_a_static_linux_program_does_not_fit_a_bsd() -> None:
    program = binary.Program(elf_header(62, 0), "built", "x86_64-linux-musl")
    assert program.platform == binary.Platform("Linux", "x86_64")
    assert program.platform is not None
    assert not program.platform.fits(binary.of_guest("FreeBSD amd64"))
    assert program.platform.fits(binary.of_guest("Linux x86_64"))


def test_what_the_header_says_goes_before_the_target() -> None:
    program = binary.Program(elf_header(62, 9), "built", "x86_64-linux-musl")
    assert program.platform == binary.Platform("FreeBSD", "x86_64")
    assert binary.Program(b"#!/bin/sh\n", "a script").platform is None
