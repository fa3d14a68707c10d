"""Invented kernels, to test the classifiers with answers in the agent's language.

For tests only; a test makes sure that nothing in `harness` can reach this.
"""

import hashlib
from collections.abc import Callable

from msgspec import Struct

from harness.wire.observation import Fate

Group = list[int]
"""The members that are up, oldest first."""

GONE = -1
"""Marks the place of a member that left, on kernels that keep it."""


def hashed(port: int, salt: int = 0) -> int:
    """Return 32 bits that look random but depend only on the port."""
    key = port.to_bytes(2, "big") + (salt & 0xFFFF).to_bytes(2, "big")
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big")


def scaled(port: int, turn: int, group: Group) -> Fate:
    return group[hashed(port) * len(group) >> 32]


def modulo(port: int, turn: int, group: Group) -> Fate:
    return group[hashed(port) % len(group)]


def rendezvous(port: int, turn: int, group: Group) -> Fate:
    return max(group, key=lambda member: hashed(port, member + 1))


def paired(port: int, turn: int, group: Group) -> Fate:
    return scaled(port // 2, turn, group)


def walked(port: int, turn: int, group: Group) -> Fate:
    """Choose as Linux did until 4.5 (net/ipv4/inet_hashtables.c, __inet_lookup_listener())."""
    random, found = hashed(port), group[-1]
    for matches, member in enumerate(reversed(group[:-1]), 2):
        found = member if random * matches >> 32 == 0 else found
        random = (random * 1664525 + 1013904223) % 2**32
    return found


def newest(port: int, turn: int, group: Group) -> Fate:
    return group[-1]


def oldest(port: int, turn: int, group: Group) -> Fate:
    return group[0]


def second(port: int, turn: int, group: Group) -> Fate:
    return group[min(1, len(group) - 1)]


def copies(port: int, turn: int, group: Group) -> Fate:
    return tuple(group) if len(group) > 1 else group[0]


def idle_half(port: int, turn: int, group: Group) -> Fate:
    return scaled(port, turn, group[: (len(group) + 1) // 2])


def lossy(port: int, turn: int, group: Group) -> Fate:
    return "timeout" if hashed(port, 7) % 20 == 0 else scaled(port, turn, group)


def stray(port: int, turn: int, group: Group) -> Fate:
    return "timeout" if hashed(port, 7) % 400 == 0 else scaled(port, turn, group)


def turns(port: int, turn: int, group: Group) -> Fate:
    return group[turn % len(group)]


def fickle(port: int, turn: int, group: Group) -> Fate:
    return group[turn >= 464]


def piled(port: int, turn: int, group: Group) -> Fate:
    """Choose among the group and sixteen more, and go on to the first where none may serve."""
    place = hashed(port) * (len(group) + 16) >> 32
    return group[place] if place < len(group) else group[0]


def salted(port: int, turn: int, group: Group) -> Fate:
    return group[hashed(port, 5) * len(group) >> 32]


def leaky(port: int, turn: int, group: Group) -> Fate:
    return len(group) + hashed(port, 3) % 16 if port % 9 == 0 else scaled(port, turn, group)


def half_lost(port: int, turn: int, group: Group) -> Fate:
    return "timeout" if port % 2 else scaled(port, turn, group)


def few_taken(port: int, turn: int, group: Group) -> Fate:
    return group[-1] if turn == 500 else group[0]


def late_loss(port: int, turn: int, group: Group) -> Fate:
    return "timeout" if turn == 395 else group[0]


def later_loss(port: int, turn: int, group: Group) -> Fate:
    return "timeout" if turn == 805 else group[0]


def foreign(port: int, turn: int, group: Group) -> Fate:
    return "foreign"


def silenced(port: int, turn: int, group: Group) -> Fate:
    return "timeout"


def rejected(port: int, turn: int, group: Group) -> Fate:
    return "ECONNREFUSED"


class Kernel(Struct, frozen=True):
    """How a kernel behaves: `choose` picks the member that serves; the rest is about failures.

    `queued` is the fate of connections in a failed listener's queue (`heir`: the newest survivor
    accepts them). `hung` is the fate of flows that find a hung member's queue of `room` full, and
    `arriving` that of flows under way at the failed member. `swap`: the last member takes the place
    of one that leaves (Linux, reuseport_detach_sock); `place`: a newcomer takes it (DragonFly).
    `bystander` is the fate of flows to a socket that does not listen; None if it gets none.

    `drops` is how many of the survivors' connections, or flows under way, a failure hits. With
    `losing`, every tenth of the survivors' flows is hit beside a hung member. `preferred` is the
    side of `precedence` that serves, None for both. `limit` is how many members of a group serve.
    `half_open` is the fate of handshakes in progress at a failed listener (`own`: it still serves
    them). `repeated` replaces it once the SYN-ACK was sent again. A kernel that `searches` looks
    for a handshake at the listener that a new connection would reach, and resets it if it is not
    there; one that `looks_up` lets that listener complete it. `forgetting` is the fate of every
    tenth held handshake. `hold` is how many ms the guest needs from SYN to ACK.

    `port_counts` is 1 if the hash includes the server's port; another port moves all flows together
    by `port_shifts` places. `retiring` is the errno for the `stays`-th change of `drain` (the first
    if 0). `waiting` flows are in the queue of each member that is told to retire; `endless` of
    them never hear that it is empty. `window` flows at once are what the guest serves in time.
    `shutting` is the errno of shutdown() of a listener. `ousting`
    connections break when the last member joins. `by_bind`: groups
    follow bind(), not listen(). `crossing` is the errno of a listen() in another order.

    `refused` is the errno for whoever comes second, `refusing` the call that says so to a newcomer.
    `follows_program`: a steered group asks the program, which names members by their number in the
    group. `mapped`: by a map that forgets one that leaves. `unnamed` is the fate of flows for which
    it names nobody; None if they are served as without it. `detaches`: it can be taken away.
    `ignores_newcomers`: not even a program that names them reaches those that joined later.

    `orphaned` is the fate of new flows at a listener that outlives its worker (`heir`: it has left
    its group; `own`: it serves them). `freed` is that of all flows once nothing holds it.

    `beside` replaces `choose` once sockets are connected. `own` is the fate of a client that has
    such a socket (`own`: it reaches it). `connecting` is what is refused: the attempt, the call and
    the errno.

    `follows`: the member that sent last moves to the end of the group. `alone` is the errno that
    keeps clients at one address. `apart` replaces `choose` for clients with an address each.
    """

    choose: Callable[[int, int, Group], Fate] = scaled
    queued: Fate = "ECONNRESET"
    hung: Fate = "timeout"
    room: int = 17
    arriving: Fate = "ECONNRESET"
    echo: Fate = "eof"
    new: Fate = "ECONNREFUSED"
    refused: str | None = None
    refusing: str = "bind"
    beside: Callable[[int, int, Group], Fate] | None = None
    own: Fate = "own"
    connecting: tuple[str, str, str] | None = None
    bystander: Fate | None = None
    swap: bool = False
    place: bool = False
    gap: int = 1
    drops: int = 0
    losing: Fate | None = None
    preferred: int | None = None
    limit: int = 1000
    half_open: Fate = "ECONNRESET"
    repeated: Fate | None = None
    searches: bool = False
    looks_up: bool = False
    forgetting: Fate | None = None
    hold: int = 60
    port_counts: int = 0
    port_shifts: int = 0
    retiring: str | None = None
    stays: int = 0
    waiting: int = 1
    endless: int = 0
    shutting: str | None = None
    ousting: int = 0
    follows: bool = False
    alone: str | None = None
    apart: Callable[[int, int, Group], Fate] | None = None
    window: int = 48
    by_bind: bool = False
    crossing: str | None = None
    follows_program: bool = True
    mapped: bool = False
    unnamed: Fate | None = None
    detaches: bool = True
    ignores_newcomers: bool = False
    orphaned: Fate = "open"
    freed: Fate | None = None


HEIR, OWN = "heir", "own"


class Fragile(Kernel, frozen=True):
    """A kernel where no member serves any more once one has left."""

    def refused_after(self, k: int) -> Fate:
        return "ECONNREFUSED"


KERNELS = {
    "hash scaled": Kernel(scaled),
    "modulo": Kernel(modulo),
    "newest": Kernel(newest),
    "oldest": Kernel(oldest),
    "one idle half": Kernel(idle_half),
    "copies": Kernel(copies),
    "lossy": Kernel(lossy),
    "starved": Kernel(lossy, gap=4000),
}
"""One kernel of each kind that has led to wrong conclusions."""
