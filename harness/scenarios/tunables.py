"""Tunables that decide a scenario's answer: where a guest has one, it is asked at every value.

They go by their own names. A guest is asked for those that its file lists (`Cell.fits`).
"""

from collections.abc import Iterable, Iterator, Sequence

from harness.model import TUNABLES
from harness.scenarios.grid import Row

MIGRATION = "net.ipv4.tcp_migrate_req"
"""Whether a survivor gets what a closed listener had not accepted (linux 5.14:
net/ipv4/inet_connection_sock.c, inet_csk_listen_stop() and inet_reqsk_clone())."""

COOKIES = "net.ipv4.tcp_syncookies"
"""Never, when the queue is full, or always: a cookie is no request of any listener's, and the ACK
makes one anew (linux: net/ipv4/syncookies.c, cookie_v4_check())."""

CACHE_COOKIES = ("net.inet.tcp.syncookies", "net.inet.tcp.syncookies_only")
"""Whether cookies are sent, and whether nothing else is kept (freebsd: netinet/tcp_syncache.c)."""

SPREADING = {"tcp": "net.inet.tcp.reuseport_ext", "udp": "net.inet.udp.reuseport_ext"}
"""Whether SO_REUSEPORT spreads (dragonfly: netinet/in_pcb.c, in_pcblookup_pkthash(); TCP's also
decides whether a closed listener's queue goes to another: netinet/tcp_subr.c)."""

SWITCH = ("0", "1")

ALWAYS = ("0", "1", "2")


def at_each(name: str, values: Sequence[str], rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows with a tunable at each value."""
    every = tuple(rows)
    for value in values:
        yield from ({**one, TUNABLES: f"{name}={value}"} for one in every)
