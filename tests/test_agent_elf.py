"""The dependences of a dynamic program, read and cut on small ELF files made here."""

import struct

import pytest

from harness.agent import elf

BASE = 0x1000000


def program(*needed: str) -> bytes:
    """Return the smallest ELF file that names shared libraries: two headers, strings, dynamic."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    strings_at, dynamic_at = 64 + 2 * 56, 512
    entries = [(elf.DT_NEEDED, strings.index(name.encode() + b"\0")) for name in needed]
    entries += [(21, 0), (elf.DT_STRTAB, BASE + strings_at), (elf.DT_NULL, 0)]
    dynamic = b"".join(elf.ENTRY.pack(*entry) for entry in entries)
    whole = dynamic_at + len(dynamic)
    header = struct.pack("<16s16xQ14xHH6x", b"\x7fELF\x02\x01\x01", 64, 56, 2)
    load = struct.pack("<IIQQQQQQ", elf.PT_LOAD, 4, 0, BASE, BASE, whole, whole, 4096)
    place = (dynamic_at, BASE + dynamic_at, BASE + dynamic_at, len(dynamic), len(dynamic), 8)
    headers = header + load + struct.pack("<IIQQQQQQ", elf.PT_DYNAMIC, 6, *place)
    return (headers + strings).ljust(dynamic_at, b"\0") + dynamic


def test_a_program_names_its_libraries() -> None:
    assert elf.libraries(program("libpthread.so.1", "libc.so.12")) == [
        "libpthread.so.1",
        "libc.so.12",
    ]


@pytest.mark.parametrize("needed", [("libpthread.so.1", "libc.so.12"), ("libc.so.12",)])
def test_a_library_is_left_out_and_nothing_else_changes(needed: tuple[str, ...]) -> None:
    before = program(*needed)
    after = elf.without(before, "libpthread.so.1")
    assert elf.libraries(after) == ["libc.so.12"]
    assert len(after) == len(before)
    start, entries = elf.dynamic(after)
    assert after[:start] == before[:start]
    tags = [tag for tag, _ in entries]
    assert tags[: tags.index(elf.DT_NULL)] == [elf.DT_NEEDED, 21, elf.DT_STRTAB]
    assert (after == before) == (needed == ("libc.so.12",))


def test_a_static_program_names_none() -> None:
    static = struct.pack("<16s16xQ14xHH6x", b"\x7fELF\x02\x01\x01", 64, 56, 0)
    assert elf.libraries(static) == []
    assert elf.without(static, "libc.so.7") == static


def test_an_address_that_is_nowhere_is_told() -> None:
    with pytest.raises(ValueError, match="0x10"):
        elf.at(program("libc.so.7"), 16)
