"""Whom the claims are about, by the name that each system gives itself (uname -s)."""

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
"""Those without DragonFly, which has rules of its own."""

FIVE = (LINUX, FREEBSD, DRAGONFLY, NETBSD, MACOS)
"""The systems that there are guests of."""

OTHERS = Subject(
    "other systems",
    ("AIX", "Darwin", "DragonFly", "FreeBSD", "Linux", "NetBSD", "SunOS"),
    others=True,
)
"""What no claim names; OpenBSD is one of them."""


def since(subject: Subject, *release: int) -> Subject:
    """Return the subject from this release on."""
    return replace(subject, since=release)


def before(subject: Subject, *release: int) -> Subject:
    """Return the subject up to this release, which is not part of it."""
    return replace(subject, before=release)


def having(subject: Subject, name: str, value: int) -> Subject:
    """Return the subject where a tunable has this value."""
    return replace(subject, setting=(name, value))
