"""The systems that claims are about, by their name in `uname -s`. No claim is about gVisor."""

from msgspec.structs import replace

from harness.claims.claim import Subject

AIX = Subject("AIX", ("AIX",))
DRAGONFLY = Subject("DragonFly", ("DragonFly",))
FREEBSD = Subject("FreeBSD", ("FreeBSD",))
LINUX = Subject("Linux", ("Linux",))
MACOS = Subject("macOS", ("Darwin",))
NETBSD = Subject("NetBSD", ("NetBSD",))
OPENBSD = Subject("OpenBSD", ("OpenBSD",))
SOLARIS = Subject("Solaris", ("SunOS",))
WINDOWS = Subject("Windows", ("Windows",))

BSDS = (FREEBSD, NETBSD, OPENBSD)
"""The BSDs except DragonFly, which has its own rules."""

FIVE = (LINUX, FREEBSD, DRAGONFLY, NETBSD, MACOS)
"""The systems that have guests."""

OTHERS = Subject(
    "other systems",
    ("AIX", "Darwin", "DragonFly", "FreeBSD", "Linux", "NetBSD", "SunOS", "gVisor"),
    others=True,
)
"""All systems that are not in this list; OpenBSD is one of them. gVisor is none: it runs programs
for Linux, but no claim is about it."""


def since(subject: Subject, *release: int) -> Subject:
    """Return the subject, limited to this release and later ones."""
    return replace(subject, since=release)


def before(subject: Subject, *release: int) -> Subject:
    """Return the subject, limited to releases before this one."""
    return replace(subject, before=release)


def having(subject: Subject, name: str, value: int) -> Subject:
    """Return the subject, limited to guests where a tunable has this value."""
    return replace(subject, setting=(name, value))
