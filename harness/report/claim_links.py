"""Addresses of what the claims cite, so that a reader can look it up."""

from collections.abc import Iterator

GITHUB = "https://github.com"

LINKS = {
    "libuv docs `tcp.rst`": "https://docs.libuv.org/en/v1.x/tcp.html",
    "libuv docs `udp.rst`": "https://docs.libuv.org/en/v1.x/udp.html",
    "PR 4407": f"{GITHUB}/libuv/libuv/pull/4407",
    "libuv PR 4410": f"{GITHUB}/libuv/libuv/pull/4410",
    "libevent PR 1656": f"{GITHUB}/libevent/libevent/pull/1656",
    "node issue 55408": f"{GITHUB}/nodejs/node/issues/55408",
    "kernel commit c617f398": f"{GITHUB}/torvalds/linux/commit/c617f398",
    "kernel commit ba418fa3": f"{GITHUB}/torvalds/linux/commit/ba418fa3",
    "kernel commit acdcecc6": f"{GITHUB}/torvalds/linux/commit/acdcecc6",
    "kernel commit efc6b6f6": f"{GITHUB}/torvalds/linux/commit/efc6b6f6",
    "FreeBSD SA-25:09": "https://www.freebsd.org/security/patches/SA-25:09/",
    "Deno's `UdpListenOptions`": "https://docs.deno.com/api/deno/~/Deno.UdpListenOptions",
    "socket(7)": "https://man7.org/linux/man-pages/man7/socket.7.html",
    "gnet 582": f"{GITHUB}/panjf2000/gnet/issues/582",
    "FreeBSD review D11003": "https://reviews.freebsd.org/D11003",
    "review D37029": "https://reviews.freebsd.org/D37029",
    "FreeBSD getsockopt(2)": "https://man.freebsd.org/cgi/man.cgi?getsockopt(2)",
    "FreeBSD commit d93ec8cb": f"{GITHUB}/freebsd/freebsd-src/commit/d93ec8cb",
    "FreeBSD commit 53598447": f"{GITHUB}/freebsd/freebsd-src/commit/53598447",
    "Envoy docs (PR 17259)": f"{GITHUB}/envoyproxy/envoy/pull/17259",
    "libkrun 860": f"{GITHUB}/libkrun/libkrun/issues/860",
    "libp2p/go-reuseport 80": f"{GITHUB}/libp2p/go-reuseport/issues/80",
    "HTTP.jl 414": f"{GITHUB}/JuliaWeb/HTTP.jl/issues/414",
    "pgbouncer `doc/config.md`": "https://www.pgbouncer.org/config.html",
    "nginx 1.9.1 change log": "https://nginx.org/en/CHANGES-1.10",
    "ticket 1300": "https://trac.nginx.org/nginx/ticket/1300",
    "kernel `ip-sysctl.rst`": "https://docs.kernel.org/networking/ip-sysctl.html",
    "erldns PR 358": f"{GITHUB}/dnsimple/erldns/pull/358",
    "HAProxy `doc/management.txt`": "https://docs.haproxy.org/dev/management.html",
}
"""A part of a claim's source, as it is written there, and its address."""


def links(source: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a source that have an address, and the address, in order."""
    found = sorted((source.find(text), text) for text in LINKS if text in source)
    yield from ((text, LINKS[text]) for _, text in found)
