"""Claims about more sockets at a server's port: another process's, or those of single clients."""

from harness.claims.claim import Claim, Part, Predicate, Subject, where
from harness.claims.predicates import said, unless, unsaid
from harness.claims.questions import BINDS, LB, PLAIN, newcomer
from harness.claims.subjects import FREEBSD, LINUX, before, since
from harness.scenarios.grid import SERVERS

STRAY = ("strangers", "bypassed")
"""A datagram reached a socket that is connected to another client, or its own socket missed it."""

WRONG = (before(since(FREEBSD, 12), 13, 5), before(since(FREEBSD, 14), 14, 3))
"""Releases of FreeBSD that had left support, or nearly, when the advisory came out. Of 13.5 and
14.3 the number does not tell whether a kernel has the patch."""


def connected(subject: Subject, says: str, holds: Predicate, option: str = PLAIN) -> Part:
    """Ask what becomes of datagrams once sockets of the group are connected to single clients."""
    axes = where(option=option, protocol="udp", bind=BINDS, connecting="after before")
    return Part(says, subject, "connected", holds, axes, ("bind", "connecting"))


MORE_SOCKETS = (
    Claim(
        "C28",
        "Linux: with SO_REUSEPORT no other user can hijack the port",
        "socket(7)",
        (
            newcomer(LINUX, "another uid is refused", said("refused"), PLAIN),
            newcomer(
                LINUX,
                "another uid is refused if both sockets also have SO_REUSEADDR",
                said("refused"),
                SERVERS,
            ),
        ),
    ),
    Claim(
        "C29",
        "Linux UDP: SO_REUSEADDR alone lets a newcomer take a port over, another user's, too",
        "kernel commit ba418fa3; Deno's `UdpListenOptions`",
        (
            newcomer(
                LINUX, "another uid takes all datagrams", said("takes-all"), "reuseaddr", "udp"
            ),
        ),
    ),
    Claim(
        "C30",
        "Linux ≥ 5.3: a connected UDP socket of a group gets all of its client's datagrams, and no"
        " others",
        "kernel commit acdcecc6",
        (
            connected(
                since(LINUX, 5, 3),
                "each client reaches its own socket",
                unless(("refused", "blocked"), unsaid(*STRAY)),
            ),
        ),
    ),
    Claim(
        "C31",
        "Linux: connected UDP sockets in a group give some listeners more of the other clients",
        "kernel commit efc6b6f6",
        (
            connected(
                since(LINUX, 5, 8),
                "one listener gets much more than before",
                said("concentrated"),
            ),
        ),
    ),
    Claim(
        "C32",
        "FreeBSD until October 2025: a connected `_LB` socket gets other clients' datagrams",
        "FreeBSD SA-25:09",
        (
            *(
                connected(one, "it gets other clients' datagrams", said("strangers"), LB)
                for one in WRONG
            ),
            connected(since(FREEBSD, 15), "it gets none of them", unsaid("strangers"), LB),
        ),
    ),
)
