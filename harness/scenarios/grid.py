"""The points of the axes at which scenarios are asked, and the numbers in a question."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from harness.model import Cell, Depth

SHARING = ("reuseport", "reuseport_lb")
"""The options made for groups. If a system lacks one, its cells cost only milliseconds."""

ALL = ("none", "reuseaddr", *SHARING, "reuseport+reuseport_lb")

SERVERS = "reuseaddr+reuseport"
"""Two options on one socket, as many servers set them. Only some scenarios ask."""

GROUPING = ALL[1:]
"""The options that can make a group. `none` cannot; `sharing` and `distribution` show that, and
the other scenarios do not ask."""

BOTH = ("tcp", "udp")

PLACES = (
    ("ipv4", "specific"),
    ("ipv4", "wildcard"),
    ("ipv6", "specific"),
    ("ipv6", "wildcard"),
    ("mapped", "wildcard"),
)
"""Family and bind address. `mapped` is an IPv4 client of a dual-stack `::` socket."""

FAILURES = ("close", "exit", "kill", "hang", "shutdown", "relisten-zero")

DATAGRAM_FAILURES = ("close", "exit", "kill", "hang")
"""A datagram socket does not listen, and shutdown() needs a peer (ENOTCONN, POSIX)."""

DEADLINES = {"tcp": 7000, "mptcp": 7000, "udp": 1500}
"""ms. NetBSD sends a lost SYN again after 6 s, so an earlier deadline would call it lost. A
datagram is never sent again; 32 of them, at 20 ms each on a coarse clock, take 0.7 s."""

BACKLOG = 1024
"""More than any scenario queues, so no queue overflows unless the kernel has a lower limit."""

TUN = "tun"
"""Value of the axis `peer`: the agent plays the remote host itself, packet by packet."""

CLIENTS = ("mptcp", "tcp")
"""Values of the axis `peer` of a listener of MPTCP: its clients use MPTCP, or plain TCP."""

MANY = {Depth.QUICK: 1000, Depth.FULL: 8000}
"""Flows of a cell at `peer=tun`, where a flow costs no socket and ports do not run out. In a quick
run it is the number of hosts that matters: a share that is off by 0.07 is noticed."""

Row = Mapping[str, str]


def row(text: str, **more: str) -> dict[str, str]:
    """Return the axes written as `option protocol family bind [failure]`, and those in `more`."""
    names = ("option", "protocol", "family", "bind", "failure")
    return dict(zip(names, text.split(), strict=False)) | more


def multipath(*texts: str, **more: str) -> Iterator[dict[str, str]]:
    """Yield each row of a listener of MPTCP twice, with clients of both kinds."""
    for text, peer in product(texts, CLIENTS):
        yield row(text, **more, peer=peer)


def table(scenario: str, rows: Iterable[Row]) -> tuple[Cell, ...]:
    """Return the cells of the rows, in order and without duplicates."""
    return tuple(dict.fromkeys(Cell.at(scenario, **one) for one in rows))


def cross(options: Sequence[str], protocols: Sequence[str], **more: Sequence[str]) -> Iterator[Row]:
    """Yield a row for each combination of options, protocols, places and the axes in `more`."""
    for option, protocol, (family, bind) in product(options, protocols, PLACES):
        plain = {"option": option, "protocol": protocol, "family": family, "bind": bind}
        for values in product(*more.values()):
            yield plain | dict(zip(more, values, strict=True))


class Numbers:
    """Listeners, flows and backlog of a scenario's questions, at both depths."""

    def __init__(
        self, quick: int, full: int, *, listeners: int = 4, backlog: int = BACKLOG
    ) -> None:
        self._flows = {Depth.QUICK: quick, Depth.FULL: full}
        self._listeners, self._backlog = listeners, backlog

    def __call__(self, cell: Cell, depth: Depth) -> Mapping[str, str]:
        """Return the parameters of the question: the cell's axes and these numbers."""
        flows = MANY if cell.axes.get("peer") == TUN else self._flows
        return {
            **cell.axes,
            "listeners": str(self._listeners),
            "flows": str(flows[depth]),
            "deadline": str(DEADLINES[cell.axes["protocol"]]),
            "backlog": str(self._backlog),
        }
