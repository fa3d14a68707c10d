"""The questions of the answers table: what a person asks first, in plain words."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Sums(StrEnum):
    """What a group says about a column in one line."""

    NOTHING = "nothing"
    LOSSES = "at how many of its questions clients notice something"
    WAYS = "which of its ways lose nothing"


class AskedRow(Struct, frozen=True):
    """A question in plain words, and the cells that answer it: at every family and bind address.

    `brief` names it in a summary. A `remedy` is asked with a setting that is not the system's own,
    so it does not count in a summary.
    """

    asks: str
    scenario: str
    axes: Mapping[str, str]
    brief: str = ""
    remedy: bool = False


class AskedGroup(Struct, frozen=True):
    """Questions under one heading."""

    title: str
    sums: Sums
    rows: tuple[AskedRow, ...]


TCP, UDP, KILL = {"protocol": "tcp"}, {"protocol": "udp"}, {"failure": "kill"}

MIGRATE = {"tunables": "net.ipv4.tcp_migrate_req=1"}

WHO = (
    AskedRow("several workers listen (TCP)", "distribution", TCP),
    AskedRow("several workers read (UDP)", "distribution", UDP),
    AskedRow("a new process joins (TCP)", "takeover", TCP),
    AskedRow("a new process joins (UDP)", "takeover", UDP),
    AskedRow("one more is bound, not listening", "bound-only", TCP),
)

LOST = (
    AskedRow("the others' open connections", "failure-established", KILL),
    AskedRow("connections waiting in its queue", "failure-queued", KILL),
    AskedRow("the same, tcp_migrate_req=1", "failure-queued", {**KILL, **MIGRATE}, remedy=True),
    AskedRow("handshakes under way", "failure-handshake", {**KILL, "ack": "at-once"}),
    AskedRow("connections that arrive right then", "failure-arrivals", {**TCP, **KILL}),
    AskedRow("the others' UDP or QUIC flows", "failure-flows", {**UDP, "change": "leave"}),
    AskedRow("it hangs: its share of new ones", "failure-hung", TCP),
)

WAYS = (
    AskedRow("pass the socket to a sibling", "drain", {"way": "pass"}, "pass it on"),
    AskedRow("leave it to a child of fork()", "drain", {"way": "inherit"}, "fork()"),
    AskedRow("accept until empty, then close", "drain", {"way": "close"}, "close"),
    AskedRow("shutdown(), then accept", "drain", {"way": "shutdown"}, "shutdown()"),
    AskedRow("listen(fd, 0), then accept", "drain", {"way": "relisten-zero"}, "listen(fd, 0)"),
)

GROUPS = (
    AskedGroup("Who gets new connections?", Sums.NOTHING, WHO),
    AskedGroup("What is lost when a worker dies?", Sums.LOSSES, LOST),
    AskedGroup("How to retire a worker without loss?", Sums.WAYS, WAYS),
)
