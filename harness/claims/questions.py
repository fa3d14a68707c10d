"""Questions that several claims ask: who is served, which sockets need the option, what is lost.

Each returns a part: the cells that decide it and what they must show. Most ask at both bind
addresses, because a kernel may have a rule for each (docs/traps.md, trap 1).
"""

from harness.claims.claim import Part, Predicate, Subject, where
from harness.claims.predicates import said, there_and, uneven, unless, without, zero

PLAIN, LB, EITHER = "reuseport", "reuseport_lb", "reuseport reuseport_lb"

BINDS = "specific wildcard"

ENDED = "close exit kill"
"""Failures after which the listener is gone. After a hang it still exists."""


def served(
    subject: Subject, says: str, holds: Predicate, option: str = PLAIN, protocol: str = "tcp"
) -> Part:
    """Ask which of several listeners gets flows, at both bind addresses."""
    axes = where(option=option, protocol=protocol, bind=BINDS)
    return Part(says, subject, "distribution", holds, axes, ("bind", "protocol"))


def balanced(subject: Subject, option: str = PLAIN, protocol: str = "tcp") -> Part:
    """Ask whether flows are spread evenly."""
    name = protocol.upper().replace(" ", " and ")
    says = f"{name} flows with {option} are spread evenly"
    return served(subject, says, said("balanced"), option, protocol)


def unbalanced(subject: Subject, option: str = EITHER, protocol: str = "tcp udp") -> Part:
    """Ask whether flows are not spread evenly, no matter which listener gets them."""
    says = f"nothing is spread evenly with {option.replace(' ', ' or ')}"
    axes = where(option=option, protocol=protocol, bind=BINDS)
    return Part(says, subject, "distribution", uneven, axes, ("bind",))


def newest(subject: Subject, protocol: str = "tcp") -> Part:
    """Ask whether the last listener to bind gets all flows."""
    return served(subject, "only the last to bind is served", said("newest"), protocol=protocol)


def oldest(subject: Subject, protocol: str = "tcp") -> Part:
    """Ask whether the first listener to bind keeps all flows."""
    return served(subject, "only the first to bind is served", said("oldest"), protocol=protocol)


def every_socket(subject: Subject) -> Part:
    """Ask whether a second socket is refused unless both have the option."""
    axes = where(option=PLAIN, case="only-first only-second")
    says = "every socket needs the option"
    return Part(says, subject, "sharing", said("refused"), axes, ("case",))


def shared(subject: Subject, option: str) -> Part:
    """Ask whether two sockets can share the port."""
    axes = where(option=option, case="both")
    return Part(f"two sockets share a port with {option}", subject, "sharing", said("shared"), axes)


def supported(subject: Subject, option: str) -> Part:
    """Ask whether the option is there and works; a system without it contradicts this."""
    axes = where(option=option, case="both")
    return Part(f"two sockets can have {option}", subject, "sharing", there_and("shared"), axes)


def takeover(subject: Subject) -> tuple[Part, ...]:
    """Ask whether a newcomer gets all new connections, and whether any connection is lost."""
    axes = where(option=PLAIN, protocol="tcp", bind=BINDS)
    says = "a newcomer gets every new connection"
    all_new = Part(says, subject, "takeover", said("newest-takes-all"), axes, ("bind",))
    lost = zero("lost_during", "lost_after", "lost_retired", "alive_lost", "alive_retired_lost")
    says = "no connection is lost, new or established"
    return all_new, Part(says, subject, "takeover", lost, axes, ("bind",))


def survivors_live(subject: Subject) -> Part:
    """Ask whether the survivors' established connections survive a failure."""
    axes = where(option=PLAIN, protocol="tcp", failure=ENDED, bind=BINDS)
    says = "established connections of the survivors live on"
    return Part(says, subject, "failure-established", said("unaffected"), axes, ("bind",))


def queue(subject: Subject, says: str, holds: Predicate) -> Part:
    """Ask what happens to the accept queue of a listener that is closed."""
    axes = where(option=PLAIN, protocol="tcp", failure=ENDED, bind=BINDS)
    return Part(says, subject, "failure-queued", holds, axes, ("bind",))


def another_user(subject: Subject, says: str, holds: Predicate, bind: str = BINDS) -> Part:
    """Ask whether the second socket may belong to another user."""
    axes = where(option=PLAIN, case="other-uid", bind=bind)
    return Part(says, subject, "sharing", holds, axes)


def newcomer(
    subject: Subject, says: str, holds: Predicate, option: str, protocol: str = "tcp udp"
) -> Part:
    """Ask what a newcomer of another user gets, with the option that the server has."""
    axes = where(option=option, protocol=protocol, user="other", bind=BINDS)
    return Part(says, subject, "intrusion", without("second", holds), axes, ("protocol", "bind"))


def exact_address(subject: Subject, option: str) -> Part:
    """Ask whether a specific address is preferred to the wildcard, in both orders of bind()."""
    axes = where(option=option, pair="address", position="first last both")
    says = f"with {option} a specific address is served before the wildcard"
    holds = unless(("refused", "one-order"), said("specific"))
    return Part(says, subject, "precedence", holds, axes, ("position",))
