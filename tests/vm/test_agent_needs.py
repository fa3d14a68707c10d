"""The cross-built agent needs no more of a guest's libc than the oldest release has."""

import importlib.util
import struct
import subprocess
from pathlib import Path

import pytest
from sanitized_agent import SOURCES, STRICT, compiled, zig

from harness.agent import elf
from harness.agent.build import Builder, host_target
from harness.machine.places import Places

DT_HASH, DT_SYMTAB, DT_VERNEED, DT_VERNEEDNUM = 4, 6, 0x6FFFFFFE, 0x6FFFFFFF

OLDEST_FREEBSD = {"FBSD_1.0", "FBSD_1.1", "FBSD_1.3", "FBSD_1.5"}
"""FBSD_1.1 is 8.0: jail_set(). FBSD_1.3 is 10.0: procctl(). FBSD_1.5 is 12.0: fstat() with 64-bit
inodes (lib/libc/Versions.def)."""

NETBSD_RENAMED = {
    "__sigprocmask14",  # these two 1.4
    "__sigsuspend14",
    "__sigaction_siginfo",  # 2.0
    "__socket30",  # these three 3.0
    "__opendir30",
    "__readdir30",
    "__clock_gettime50",  # these three 6.0: 64-bit time_t
    "__fstat50",
    "__nanosleep50",
    "__kevent50",  # the same; 11 has a newer one
}
"""libc.so.12 has no versions. A function that changed has a new name (lib/libc/sys/Makefile.inc),
which an older libc lacks. All of these names are older than NetBSD 9."""

NETBSD_OWN = {
    "__errno",
    "__sF",
    "__swbuf",
    "__syscall",
    "__register_frame_info",  # weak: of libgcc, if there is one
    "__deregister_frame_info",
}
"""Names that have begun with two underscores since the first releases."""


@pytest.fixture(scope="module")
def builder() -> Builder:
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("Zig is not installed")
    return Builder(Places.of_user())


def entry(content: bytes, tag: int) -> int:
    """Return a value of the dynamic section."""
    return dict(elf.dynamic(content)[1])[tag]


def string(content: bytes, offset: int) -> str:
    return elf.text(content, elf.at(content, entry(content, elf.DT_STRTAB)) + offset)


def versions(content: bytes) -> set[str]:
    """Return the symbol versions that a program needs (Elf64_Verneed, Elf64_Vernaux)."""
    found = set()
    library = elf.at(content, entry(content, DT_VERNEED))
    for _ in range(entry(content, DT_VERNEEDNUM)):
        count, auxiliary, following = struct.unpack_from("<2xH4xII", content, library)
        version = library + auxiliary
        for _ in range(count):
            name, further = struct.unpack_from("<8xII", content, version)
            found.add(string(content, name))
            version += further
        library += following
    return found


def undefined(content: bytes) -> set[str]:
    """Return the names that a program expects of its libraries; DT_HASH has their number."""
    (count,) = struct.unpack_from("<4xI", content, elf.at(content, entry(content, DT_HASH)))
    table = elf.at(content, entry(content, DT_SYMTAB))
    symbols = [struct.unpack_from("<IBBH16x", content, table + 24 * i) for i in range(1, count)]
    return {string(content, name) for name, _, _, section in symbols if section == 0}


@pytest.mark.vm
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("release", ["", ".14.0"])
def test_the_agent_for_freebsd_needs_nothing_younger_than_12(
    builder: Builder, machine: str, release: str
) -> None:
    content = builder.build(f"{machine}-freebsd{release}").content
    assert elf.libraries(content) == ["libc.so.7"]
    assert versions(content) == OLDEST_FREEBSD


@pytest.mark.vm
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_agent_for_netbsd_needs_nothing_younger_than_9(builder: Builder, machine: str) -> None:
    content = builder.build(f"{machine}-netbsd").content
    assert elf.libraries(content) == ["libc.so.12"]
    names = undefined(content)
    assert {"accept", "fork", "poll", "_libc_init"} <= names
    assert {name for name in names if name.startswith("__")} <= NETBSD_RENAMED | NETBSD_OWN
    assert names >= NETBSD_RENAMED


@pytest.mark.vm
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_start_of_our_own_is_built_without_a_warning(machine: str, tmp_path: Path) -> None:
    command = [*zig(f"{machine}-freebsd"), *STRICT, "-DOWN_START", "-c", "-o", "start.o"]
    compiled([*command, str(SOURCES / "libc_start1.c")], tmp_path)
    assert (tmp_path / "start.o").stat().st_size > 0


CALLER = """
#include <stdio.h>
#include <stdlib.h>
void __libc_start1(int, char **, char **, void (*)(void), int (*)(int, char **, char **));
extern const char *__progname;
extern char **environ;
static void cleanup(void) { puts("cleanup"); }
static int run(int argc, char **argv, char **env)
{
    printf("%d %s %s %d\\n", argc, argv[1], __progname, env == environ && getenv("SAID") != NULL);
    return 7;
}
int main(int argc, char **argv)
{
    char **env = environ;
    environ = NULL;
    __libc_start1(argc, argv, env, cleanup, run);
}
"""


@pytest.mark.vm
def test_the_start_of_our_own_does_what_crt1_asks_of_it(tmp_path: Path) -> None:
    """Called by hand here: no BSD kernel is available, and musl has the same globals."""
    (tmp_path / "caller.c").write_text(CALLER)
    if not host_target().endswith("linux-musl"):
        pytest.skip("this machine is not Linux")
    command = [*zig(host_target()), "-static", "-DOWN_START", "-o", "caller"]
    compiled([*command, "caller.c", str(SOURCES / "libc_start1.c")], tmp_path)
    done = subprocess.run(
        [tmp_path / "caller", "word"],
        capture_output=True,
        text=True,
        timeout=20,
        env={"SAID": "1"},
    )
    assert (done.returncode, done.stdout) == (7, "2 word caller 1\ncleanup\n")
