"""Which system a guest's cells count for: what `uname` says, unless a sandbox only says so."""

from collections.abc import Mapping

GVISOR = "gVisor"

GVISOR_BUILD = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
"""gVisor's utsname.version, with any release and on any host. No Linux was released with it."""


ILLUMOS = "illumos"

SUN = "SunOS"
"""What illumos and Oracle's Solaris call themselves. The utsname.version of Solaris is a number, as
11.4.0.15.0, that of an illumos begins with the name of its distribution, as `omnios-r151058-…`."""


def system_of(
    written: str, facts: Mapping[str, int | str], provenance: Mapping[str, str]
) -> tuple[int | str, int | str | None]:
    """Return a guest's system, and its release or None if that is unknown.

    `written` is the system in its guest file, `facts` is what the agent read with uname(2). gVisor
    calls itself Linux there (docs/traps.md, trap 18). So a provider that knows better says so in
    the provenance, with `system` and `release`; else the guest file decides, or gVisor's own mark.
    An illumos never counts as Solaris, which has socket options of its own.
    """
    if "system" in provenance:
        return provenance["system"], provenance.get("release")
    release = facts.get("release")
    marked = facts.get("version") == GVISOR_BUILD or GVISOR.lower() in str(release).lower()
    if marked or written.lower() == GVISOR.lower():
        return GVISOR, None
    if facts.get("sysname") == SUN and not str(facts.get("version"))[:1].isdigit():
        return ILLUMOS, release
    return facts.get("sysname", written), release
