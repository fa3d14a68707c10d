"""Tunables that decide a scenario's answer. A guest that has one is asked at each of its values.

Each goes by the kernel's own name. A guest is asked only for those in its guest file (`Cell.fits`).
"""

from collections.abc import Iterable, Iterator, Sequence

from harness.model import TUNABLES
from harness.scenarios.grid import Row

MIGRATION = "net.ipv4.tcp_migrate_req"
"""Whether a survivor gets the connections that a closed listener had not accepted (linux 5.14:
net/ipv4/inet_connection_sock.c, inet_csk_listen_stop() and inet_reqsk_clone())."""

COOKIES = "net.ipv4.tcp_syncookies"
"""When SYN cookies are sent: 0 never, 1 if the SYN queue is full, 2 always. With a cookie the
kernel keeps no request; the ACK creates it (linux: net/ipv4/syncookies.c, cookie_v4_check())."""

CACHE_COOKIES = ("net.inet.tcp.syncookies", "net.inet.tcp.syncookies_only")
"""Whether cookies are sent, and whether they replace the SYN cache (freebsd:
netinet/tcp_syncache.c)."""

FAST_OPEN = "net.ipv4.tcp_fastopen"
"""Who uses TCP Fast Open: 1 clients, 2 listeners, 3 both (linux: ip-sysctl)."""

SPREADING = {"tcp": "net.inet.tcp.reuseport_ext", "udp": "net.inet.udp.reuseport_ext"}
"""Whether SO_REUSEPORT spreads flows (dragonfly: netinet/in_pcb.c, in_pcblookup_pkthash()). The
one for TCP also decides whether a closed listener's queue goes to another: netinet/tcp_subr.c."""

OVERFLOW = ("net.ipv4.tcp_abort_on_overflow", "net.inet.tcp.syncache.rst_on_sock_fail")
"""Whether a handshake that ends when the accept queue is full is reset (linux: net/ipv4/
tcp_minisocks.c, tcp_check_req(); freebsd: netinet/tcp_syncache.c, syncache_expand())."""

SWITCH = ("0", "1")

ALWAYS = ("0", "1", "2")


def at_each(name: str, values: Sequence[str], rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows once for each value of the tunable `name`."""
    every = tuple(rows)
    for value in values:
        yield from ({**one, TUNABLES: f"{name}={value}"} for one in every)
