"""Claims of software, manuals and comments about which listener gets flows."""

from harness.claims.claim import Claim, Part, where
from harness.claims.predicates import said, serves_at_most, set_from_the_start, uneven
from harness.claims.questions import (
    BINDS,
    LB,
    PLAIN,
    balanced,
    every_socket,
    newest,
    oldest,
    served,
    shared,
    unbalanced,
)
from harness.claims.subjects import (
    AIX,
    BSDS,
    DRAGONFLY,
    FREEBSD,
    LINUX,
    MACOS,
    NETBSD,
    OTHERS,
    SOLARIS,
    before,
    having,
    since,
)

SWITCH = "net.inet.tcp.reuseport_ext"

GROUPS = since(FREEBSD, 12)

SERVING = (
    Claim(
        "C1",
        "balancing exists on Linux ≥ 3.9, DragonFly ≥ 3.6, FreeBSD ≥ 12.0 (`_LB`), Solaris ≥ 11.4,"
        " AIX ≥ 7.2.5, nowhere else",
        "libuv docs `tcp.rst`, PR 4407; libevent PR 1656; node issue 55408",
        (
            balanced(since(LINUX, 3, 9)),
            balanced(since(DRAGONFLY, 3, 6)),
            balanced(GROUPS, LB),
            # uname shows neither release: Solaris 11.4 reports 5.11, and AIX 7.2 reports 2.
            balanced(SOLARIS),
            balanced(AIX),
            unbalanced(before(LINUX, 3, 9)),
            unbalanced(before(DRAGONFLY, 3, 6)),
            unbalanced(FREEBSD, PLAIN),
            unbalanced(NETBSD),
            unbalanced(MACOS),
            unbalanced(OTHERS),
        ),
    ),
    Claim(
        "C2",
        "Linux spreads TCP and UDP evenly",
        "libuv docs `tcp.rst`, PR 4407; libevent PR 1656; node issue 55408; kernel commit c617f398",
        (balanced(since(LINUX, 3, 9), protocol="tcp udp"),),
    ),
    Claim(
        "C3",
        "Linux: every socket needs the option before bind, and the same effective uid",
        "socket(7)",
        (
            every_socket(LINUX),
            Part(
                "an option set after bind() is too late",
                LINUX,
                "sharing",
                said("refused"),
                where(option=PLAIN, case="after-bind second-after-bind"),
                ("case",),
            ),
            Part(
                "all sockets need the same effective uid",
                LINUX,
                "sharing",
                said("refused"),
                where(option=PLAIN, case="other-uid root-over-user"),
                ("case",),
            ),
        ),
    ),
    Claim(
        "C4",
        "DragonFly ≥ 3.6 has Linux's semantics",
        "libuv PR 4410, gnet 582",
        (
            every_socket(since(DRAGONFLY, 3, 6)),
            balanced(since(DRAGONFLY, 3, 6), protocol="tcp udp"),
        ),
    ),
    Claim(
        "C5",
        f"DragonFly: balancing is a system switch `{SWITCH}`, on by default",
        "FreeBSD review D11003",
        (
            balanced(having(DRAGONFLY, SWITCH, 1)),
            served(
                having(DRAGONFLY, SWITCH, 0),
                "TCP is not spread evenly with the switch off",
                uneven,
            ),
            served(DRAGONFLY, "the switch is on by default", set_from_the_start(SWITCH, 1)),
        ),
    ),
    Claim(
        "C6",
        "FreeBSD `_LB`: at most 256 sockets share a port",
        "FreeBSD getsockopt(2)",
        (
            Part(
                "at most 256 members of a group serve",
                GROUPS,
                "group-limit",
                serves_at_most(256),
                where(option=LB),
            ),
        ),
    ),
    Claim(
        "C7",
        "FreeBSD plain: only the *first* sees connections",
        "freebsd-net list, July 2013",
        (oldest(FREEBSD),),
    ),
    Claim(
        "C8",
        "macOS and other BSDs: only the *last* to bind receives",
        "libevent `evutil.c`; Envoy docs (PR 17259); libkrun 860",
        tuple(newest(one, "tcp udp") for one in (MACOS, *BSDS)),
    ),
    Claim(
        "C9",
        "macOS: the *first* keeps all until it goes, then the 2nd, the 3rd",
        "libp2p/go-reuseport 80; HTTP.jl 414",
        (
            oldest(MACOS),
            Part(
                "when the oldest leaves the next oldest serves",
                MACOS,
                "fallback",
                said("next"),
                where(option=PLAIN, protocol="tcp", order="oldest", bind=BINDS),
                ("bind",),
            ),
        ),
    ),
    Claim(
        "C10",
        "BSD UDP: only the last to bind receives",
        "libuv docs `udp.rst`",
        tuple(newest(one, "udp") for one in (*BSDS, MACOS)),
    ),
    Claim(
        "C12",
        "outside Linux, DragonFly, FreeBSD bind succeeds but one process gets everything",
        "pgbouncer `doc/config.md`",
        tuple(
            part
            for one in (NETBSD, MACOS, OTHERS)
            for part in (
                shared(one, PLAIN),
                served(one, "one listener gets everything", said("newest", "oldest", "one")),
            )
        ),
    ),
)
