"""The claims of the article this project started from."""

from harness.claims.claim import Claim, Part, where
from harness.claims.predicates import (
    of_a_group,
    others_collapse,
    repeated,
    said,
    survivors_lost,
    there_and,
)
from harness.claims.questions import (
    BINDS,
    ENDED,
    LB,
    PLAIN,
    balanced,
    every_socket,
    newest,
    queue,
    shared,
    supported,
    survivors_live,
    takeover,
)
from harness.claims.subjects import DRAGONFLY, FREEBSD, LINUX, MACOS, NETBSD, OTHERS, WINDOWS, since

SOURCE = "a blog post on SO_REUSEPORT in different kernels"

BALANCING_LINUX = since(LINUX, 3, 9)


def _claim(name: str, sentence: str, *parts: Part) -> Claim:
    return Claim(name, sentence, SOURCE, parts)


ARTICLE = (
    _claim(
        "A1",
        "Linux ≥ 3.9 load-balances connections between the listeners of a port, by a hash",
        balanced(BALANCING_LINUX),
        Part(
            "the same flow reaches the same listener again",
            BALANCING_LINUX,
            "failure-flows",
            repeated,
            where(option=PLAIN, protocol="tcp"),
        ),
    ),
    _claim(
        "A2",
        "On Linux, as soon as one listener fails everything collapses, because the modulus of the"
        " hash changes",
        Part(
            "established connections of the survivors are dropped",
            LINUX,
            "failure-established",
            said("dropped"),
            where(option=PLAIN, protocol="tcp", failure=ENDED, bind=BINDS),
            ("bind",),
        ),
        queue(LINUX, "connections in the survivors' queues are lost", survivors_lost),
        Part(
            "handshakes of the survivors are reset",
            LINUX,
            "failure-handshake",
            others_collapse,
            where(option=PLAIN, protocol="tcp", failure=ENDED, bind=BINDS),
            ("bind",),
        ),
        Part(
            "flows of the survivors move to another listener",
            LINUX,
            "failure-flows",
            of_a_group(said("reshuffled")),
            where(option=PLAIN, protocol="tcp", change="leave", member="first middle last"),
            ("member",),
        ),
    ),
    _claim(
        "A3",
        "DragonFly is like Linux, but when a process fails the existing connections of the others"
        " are not dropped",
        balanced(DRAGONFLY),
        survivors_live(DRAGONFLY),
    ),
    _claim(
        "A4",
        "FreeBSD's and NetBSD's SO_REUSEPORT: every listener must set it, and only the last one"
        " gets the incoming connections",
        *(part for one in (FREEBSD, NETBSD) for part in (every_socket(one), newest(one))),
    ),
    _claim(
        "A5",
        "With that, a new server process takes over the port without losing a connection, while"
        " the old one finishes its own",
        *takeover(FREEBSD),
        *takeover(NETBSD),
    ),
    _claim(
        "A6",
        "macOS behaves as FreeBSD and NetBSD do (its author had not tested it)",
        every_socket(MACOS),
        newest(MACOS),
    ),
    _claim(
        "A7",
        "FreeBSD ≥ 12 also has SO_REUSEPORT_LB, much like DragonFly's SO_REUSEPORT",
        supported(since(FREEBSD, 12), LB),
        balanced(since(FREEBSD, 12), LB),
    ),
    _claim(
        "A8",
        "On FreeBSD both could be used at the same time",
        shared(since(FREEBSD, 12), f"{PLAIN}+{LB}"),
    ),
    _claim(
        "A9",
        "Most other systems, Windows among them, do not have the option: detect it at compile time",
        *(
            Part(
                "the option is not defined",
                subject,
                "sharing",
                there_and("undefined"),
                where(option=PLAIN, case="both"),
            )
            for subject in (OTHERS, WINDOWS)
        ),
    ),
)
