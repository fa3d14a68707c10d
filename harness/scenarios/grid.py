"""The points at which scenarios are asked, and the numbers that go with a question."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from harness.model import Cell, Depth

SHARING = ("reuseport", "reuseport_lb")
"""The options whose purpose is a group; where a system lacks one the cell costs milliseconds."""

ALL = ("none", "reuseaddr", *SHARING, "reuseport+reuseport_lb")

GROUPING = ALL[1:]
"""`none` never makes a group: `sharing` and `distribution` say so, the others need not ask."""

BOTH = ("tcp", "udp")

PLACES = (
    ("ipv4", "specific"),
    ("ipv4", "wildcard"),
    ("ipv6", "specific"),
    ("ipv6", "wildcard"),
    ("mapped", "wildcard"),
)
"""Family and bind address. A client to a mapped address is about dual-stack `::` sockets."""

FAILURES = ("close", "exit", "kill", "hang", "shutdown", "relisten-zero")

DATAGRAM_FAILURES = ("close", "exit", "kill", "hang")
"""A datagram socket does not listen, and shutdown() needs a peer (ENOTCONN, POSIX)."""

DEADLINES = {"tcp": 7000, "udp": 1500}
"""ms. NetBSD sends a lost SYN again after 6 s: what is called lost before that may not be. Nobody
sends a datagram again; 32 of them, at 20 ms each on a coarse clock, are answered in 0.7 s."""

BACKLOG = 1024
"""More than any queue of ours, so that nothing overflows unless the kernel has a lower limit."""

TUN = "tun"
"""Value of the axis `peer`: flows of a far end of the agent's own, packet by packet."""

MANY = {Depth.QUICK: 2000, Depth.FULL: 20000}
"""Flows of a cell at `peer=tun`, where they cost no socket and no port runs out."""

Row = Mapping[str, str]


def row(text: str, **more: str) -> dict[str, str]:
    """Return the axes of `option protocol family bind [failure]`, and more of them."""
    names = ("option", "protocol", "family", "bind", "failure")
    return dict(zip(names, text.split(), strict=False)) | more


def table(scenario: str, rows: Iterable[Row]) -> tuple[Cell, ...]:
    """Make cells of rows, each once, in their order."""
    return tuple(dict.fromkeys(Cell.at(scenario, **one) for one in rows))


def cross(options: Sequence[str], protocols: Sequence[str], **more: Sequence[str]) -> Iterator[Row]:
    """Yield the product of options, protocols, places and the axes named."""
    for option, protocol, (family, bind) in product(options, protocols, PLACES):
        plain = {"option": option, "protocol": protocol, "family": family, "bind": bind}
        for values in product(*more.values()):
            yield plain | dict(zip(more, values, strict=True))


class Numbers:
    """Listeners, flows and backlog of a scenario's questions, in its quick and its full form."""

    def __init__(
        self, quick: int, full: int, *, listeners: int = 4, backlog: int = BACKLOG
    ) -> None:
        self._flows = {Depth.QUICK: quick, Depth.FULL: full}
        self._listeners, self._backlog = listeners, backlog

    def __call__(self, cell: Cell, depth: Depth) -> Mapping[str, str]:
        """Return what the agent is asked: the cell's axes, and these numbers."""
        flows = MANY if cell.axes.get("peer") == TUN else self._flows
        return {
            **cell.axes,
            "listeners": str(self._listeners),
            "flows": str(flows[depth]),
            "deadline": str(DEADLINES[cell.axes["protocol"]]),
            "backlog": str(self._backlog),
        }
