"""Titles of counts for people: `victim_reset` is "the failed worker's: reset"."""

import re
from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "flows": "flows in all",
    "others_total": "flows of clients without a socket of their own",
    "others_moved": "of these, moved to another listener",
    "others_strayed": "of these, at a socket of another client",
    "busiest": "of these, at the busiest listener",
    "busiest_before": "the same before sockets were connected",
    "queued": "connections in a queue when the worker failed",
    "not_queued": "connections in no queue",
    "held": "handshakes under way when the worker failed",
    "not_held": "flows without a handshake under way",
    "late": "final ACKs that were sent too late to count",
    "not_established": "connections that did not come about",
    "members_serving": "listeners that serve",
    "again_same": "flows that met the same listener when asked twice",
    "newcomer": "flows that the newcomer served",
    "during": "flows that began while the newcomer joined",
    "lost_during": "of these, lost",
    "lost_after": "lost once the newcomer was ready",
    "lost_retired": "lost after the old listener left",
    "retired_newcomer": "served by the newcomer after the old one left",
    "established": "open connections of the old listener",
    "alive_lost": "of these, broken when the newcomer came",
    "alive_retired_lost": "of these, broken when the old listener left",
    "homeless": "flows of no known listener",
    "called_inside": "flows once those outside had gone",
    "reached_inside": "of these, served by those inside",
    "followed": "flows that reached the listener that the program named",
    "as_before": "flows that reached the same listener with the program as without it",
    "unnamed": "flows for which the program named no listener",
    "unnamed_as_before": "of these, served as without a program",
    "newcomer_named": "flows that the newcomer served once a program named it",
    "followed_share": "share of the flows that followed the program",
    "stranded": "flows without an answer",
    "stranded_share": "share of the flows without an answer",
    "queue_capacity": "connections that fitted into its queue",
    "queue_filled": "its queue filled up (1: yes)",
    "backlog": "backlog that listen() was given",
    "after_change": "flows that had not ended when the worker failed",
    "unserved": "flows that were never served",
    "never_served": "accepted by the kernel, never served",
    "recovery_ms": "ms until the last affected flow began",
    "slowest_ms": "ms of the slowest flow",
    "delayed_from_ms": "ms from which a flow counts as late",
    "usual_ms": "ms that a flow usually took",
    "at_once": "flows at the same time",
    "retirements": "retirements",
    "restarts": "restarts",
    "capacity_per_s": "connections per second that it can serve",
    "rate_per_s": "new connections per second",
    "silent_ms": "ms without any answer, at most",
    "new_first_ms": "ms until the new one first answered, at most",
    "old_last_ms": "ms until the old one last answered, at most",
    "rehearsal": "ms that the first restart took",
    "slipped": "connections that began late, for want of CPU",
    "kept": "connections that were kept open",
    "kept_closed": "kept connections that ended in order between requests",
    "leftover": "processes that were left after its stop",
    "port_kept": "its port still answered after its stop (1: yes)",
    "most_lost_share": "a loss of more than this share is excluded (95 %)",
    "pace_per_s": "new flows per second",
    "exposed": "flows that began during a retirement",
    "drained": "connections that a retiring worker still accepted",
    "asked": "sockets asked for",
    "stood": "sockets that were bound",
    "ever_served": "sockets that ever served",
    "compared": "comparisons",
    "same": "of these, the same listener",
    "port_pairs": "pairs of ports",
    "pairs_same": "of these, always the same listener",
    "pairs_never": "of these, never the same listener",
    "copied": "datagrams that several listeners got",
    "senders": "senders",
    "senders_kept": "senders that kept to one listener",
    "telling": "flows that can tell the orders apart",
    "stayed": "of these, at the same listener",
    "turned": "of these, at the mirrored listener",
    "rebind_same_ok": "the port can be bound again with the option (1: yes)",
    "rebind_none_ok": "the port can be bound again without it (1: yes)",
    "home_kept_share": "share of the flows that met the same listener twice",
    "by_counts_only": "judged by the counts alone (1: yes)",
    "p_uniform": "p of these counts if every listener had an even share",
    "newcomer_share": "share of the newcomer",
    "taken_share": "share that the newcomer took from the server",
    "moved_share": "share of the other clients' flows that moved",
    "first_share": "share of the first side",
    "moved_of_survivors": "share of the other workers' flows that moved",
    "moved_of_all": "share of all flows that moved",
    "moved_of_survivors_left": "share that had moved before the newcomer came",
    "again_same_share": "share of the flows that met the same listener twice",
    "lost_share": "share of all flows that were lost",
    "lost_per_retirement": "lost flows per retirement",
    "excluded_share": "a loss of this share, or more, is excluded",
    "excluded_per_retirement": "a loss in this share of retirements, or more, is excluded",
    "swallowed_share": "share without an answer",
    "refused_share": "share that was refused",
}
"""Counts and statistics that have one name, or mean the same wherever they occur."""

PREFIXES: Mapping[str, str] = {
    "victim": "the failed worker's",
    "survivors": "the other workers'",
    "control": "without a failure",
    "plain": "bound and listening in one order",
    "crossed": "in the other order",
    "after": "afterwards",
    "all": "before anybody left",
    "new": "new connects",
    "queue": "in its queue",
    "let_go": "waiting, once nothing held the listener",
    "rebind_same": "binding again with the option",
    "rebind_none": "binding again without the option",
    "addresses": "with other client addresses",
    "own_left": "clients of surviving workers' sockets, after a kill",
    "own": "clients with a socket of their own",
    "before": "while the server was alone",
    "kept": "kept connections",
}
"""What a prefix says of the count behind it."""

ENDINGS: Mapping[str, str] = {"total": "all", "flows": "flows", "eof": "ended without an answer"}
"""Words behind a prefix that say more in other words."""

LISTENER = re.compile(r"(.*?)_?member_(\d{1,5})")

HEIR = re.compile(r"(inherited|completed|served)_by_(.+)")

SINCE = re.compile(r"at_(\d{1,5})_(old|new|lost|slowest)")
"""A part of a restart's time line, from so many ms after it began."""

SINCE_WORDS = {
    "old": "served by the old",
    "new": "served by the new",
    "slowest": "ms of the slowest",
}

LEAVE = re.compile(r"left_(\d{1,5})_(.+)")


def _later(name: str) -> str:
    """Return the title of a count of what came after a change; empty if it is none."""
    if leave := LEAVE.fullmatch(name):
        return f"after leave {leave[1]}: {title(leave[2])}"
    if since := SINCE.fullmatch(name):
        return f"from {since[1]} ms after a restart: {SINCE_WORDS.get(since[2], since[2])}"
    return ""


def title(name: str) -> str:
    """Return the title of a count; an unknown name is said with blanks for underscores."""
    if name in TITLES:
        return TITLES[name]
    if later := _later(name):
        return later
    if heir := HEIR.fullmatch(name):
        by = f"listener {int(heir[2]) + 1}" if heir[2].isdecimal() else heir[2]
        return f"{heir[1]} by {by}"
    if listener := LISTENER.fullmatch(name):
        number = f"listener {int(listener[2]) + 1}"
        return f"{title(listener[1])}: {number}" if listener[1] else number
    if name in PREFIXES:
        return PREFIXES[name]
    for prefix, said in PREFIXES.items():
        if name.startswith(f"{prefix}_"):
            rest = name.removeprefix(f"{prefix}_")
            return f"{said}: {ENDINGS.get(rest) or title(rest)}"
    return ENDINGS.get(name) or name.replace("_", " ")
