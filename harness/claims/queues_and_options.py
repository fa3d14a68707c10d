"""Claims of software, manuals and comments about queues, users, addresses and options."""

from harness.claims.claim import Claim, Control, Part, where
from harness.claims.predicates import last_inherits, of_a_group, said, uneven, unsaid
from harness.claims.questions import (
    ENDED,
    LB,
    PLAIN,
    another_user,
    balanced,
    exact_address,
    queue,
    supported,
    unbalanced,
)
from harness.claims.subjects import (
    BSDS,
    DRAGONFLY,
    FIVE,
    FREEBSD,
    LINUX,
    MACOS,
    NETBSD,
    before,
    having,
    since,
)

MIGRATING = having(since(LINUX, 5, 14), "net.ipv4.tcp_migrate_req", 1)

GROUPS = since(FREEBSD, 12)

WITHOUT_OPTION = Control(
    "bind() is refused there without an option", {"option": "none"}, said("refused")
)
"""Where TIME_WAIT never keeps a port, no option is needed for it, and none implies another."""

PARTICULARS = (
    Claim(
        "C13",
        "closing a listener resets its pending connections on Linux, not on DragonFly",
        "nginx 1.9.1 change log, ticket 1300",
        (
            queue(LINUX, "a closed listener's queue is reset", said("reset")),
            queue(DRAGONFLY, "a closed listener's queue is not reset", unsaid("reset")),
        ),
    ),
    Claim(
        "C14",
        "Linux `tcp_migrate_req=1` saves queued connections and handshakes in flight",
        "kernel `ip-sysctl.rst`",
        (
            queue(MIGRATING, "survivors inherit the queue", said("inherited")),
            Part(
                "a survivor completes the handshake",
                MIGRATING,
                "failure-handshake",
                said("completed"),
                where(option=PLAIN, protocol="tcp", failure=ENDED),
            ),
        ),
    ),
    Claim(
        "C15",
        "DragonFly passes the queue of a closed listener to the last socket of the group",
        "its `tcp_subr.c`, `uipc_socket.c`",
        (queue(DRAGONFLY, "the last of the group inherits the queue", last_inherits),),
    ),
    Claim(
        "C16",
        "DragonFly: a restarted worker gets its old place in the group",
        "its `in_pcb.c`",
        (
            Part(
                "after a restart every flow has its old listener",
                DRAGONFLY,
                "failure-flows",
                of_a_group(said("stable")),
                where(option=PLAIN, change="restart", member="first middle"),
                ("member",),
            ),
        ),
    ),
    Claim(
        "C17",
        "FreeBSD `_LB` silently does nothing inside a jail before 13.3 / 14",
        "FreeBSD commit d93ec8cb, review D37029",
        (
            Part(
                "those in a jail get nothing beside those outside",
                before(GROUPS, 13, 3),
                "confined",
                said("outside"),
                where(option=LB, inside="jail"),
            ),
            Part(
                "those in a jail are served, too",
                since(FREEBSD, 13, 3),
                "confined",
                unsaid("outside", "apart"),
                where(option=LB, inside="jail"),
            ),
        ),
    ),
    Claim(
        "C18",
        "FreeBSD: IPv4 arriving on a dual-stack `_LB` socket is not balanced",
        "erldns PR 358",
        (
            Part(
                "IPv4 to a dual-stack group is not spread evenly",
                GROUPS,
                "distribution",
                uneven,
                where(option=LB, family="mapped"),
            ),
        ),
    ),
    Claim(
        "C19",
        "FreeBSD: an exact-address group is preferred to a wildcard one",
        "FreeBSD commit 53598447",
        (exact_address(GROUPS, LB),),
    ),
    Claim(
        "C20",
        '"Most BSDs have supported this almost forever"',
        "HAProxy `doc/management.txt`",
        tuple(supported(one, PLAIN) for one in (*BSDS, DRAGONFLY)),
    ),
    Claim(
        "C22",
        "Deno: Linux only; Node QUIC: Linux and DragonFly only, no FreeBSD",
        "their docs",
        (
            balanced(LINUX),
            # The two disagree on DragonFly. This is Node's claim; Deno claims the opposite.
            balanced(DRAGONFLY),
            *(unbalanced(one) for one in (FREEBSD, NETBSD, MACOS)),
        ),
    ),
    Claim(
        "C23",
        "SO_REUSEPORT implies SO_REUSEADDR / does not",
        "libuv `udp.c` / libevent `listener.h` (they disagree)",
        # CONFIRMED means that libuv is right, REFUTED that libevent is.
        tuple(
            Part(
                "it implies it: bind() to a port in TIME_WAIT succeeds",
                one,
                "sharing",
                said("shared"),
                where(option=PLAIN, case="time-wait"),
                control=WITHOUT_OPTION,
            )
            for one in FIVE
        ),
    ),
    Claim(
        "C24",
        "AF_UNIX: setsockopt succeeds, bind fails later",
        "libevent `listener.c`",
        tuple(
            Part(
                "bind() of a second local socket fails",
                one,
                "sharing",
                said("refused"),
                where(option=PLAIN, family="unix"),
            )
            for one in FIVE
        ),
    ),
    Claim("C25", "NetBSD has no balancing", "tdns docs", (unbalanced(NETBSD),)),
    Claim(
        "C26",
        "NetBSD: another uid cannot take the port, unless both are wildcard",
        "NetBSD `in_pcb.c`",
        (
            another_user(
                NETBSD, "another uid is refused at a specific address", said("refused"), "specific"
            ),
            another_user(NETBSD, "another uid can share the wildcard", said("shared"), "wildcard"),
        ),
    ),
    Claim(
        "C27",
        "Linux: a specific address is preferred to the wildcard",
        "kernel selftest `reuseport_addr_any.c`",
        (exact_address(LINUX, PLAIN),),
    ),
)
