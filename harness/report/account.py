"""What happened in one cell, in sentences: what was done, what came of it, and what that means.

The sentences are those of the catalogue (`Sense`), filled with the axes and the counts of the cell.
A guest's text is never part of them.
"""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from harness.matrix import Entry
from harness.model import State
from harness.report.grades import is_moot, sense
from harness.scenarios import CATALOGUE

PHRASES: Mapping[str, Mapping[str, str]] = {
    "failure": {
        "close": "A worker closed its listener",
        "exit": "A worker exited",
        "kill": "A worker was killed",
        "hang": "A worker was stopped (SIGSTOP)",
        "shutdown": "A worker called shutdown() on its listener",
        "relisten-zero": "A worker called listen(fd, 0)",
    },
    "change": {
        "leave": "The {member} worker left",
        "join": "One more worker joined",
        "restart": "The {member} worker was restarted",
        "replace": "As many new workers joined as there were, and then the old ones closed",
    },
    "way": {
        "close": "they accepted until the queue was empty, then closed",
        "shutdown": "they called shutdown(), accepted what was left, then closed",
        "relisten-zero": "they called listen(fd, 0), accepted what was left, then closed",
        "pass": "they passed the socket to a sibling",  # nosec B105  # no password
        "inherit": "they left the socket to a child of fork()",
        "abrupt": "they closed with what was left in their queues",
        "visit": "one more process listened for a moment, accepted nothing, and closed",
        "all": "as many new ones listened, and then all old ones accepted what was left and closed",
    },
    "holder": {
        "child": "by a child that inherited it by fork()",
        "ring": "by an io_uring that went on accepting",
    },
    "inside": {
        "netns": "network namespaces of their own",
        "jail": "a jail",
        "fib": "FIB 1",
    },
    "program": {
        "cbpf": "A program of classic BPF",
        "ebpf": "A program of eBPF, with a map of sockets,",
        "cpu": "The client's CPU",
    },
    "then": {
        "nothing": "The listeners stayed as they were",
        "beyond": "Sometimes it named one that was not there",
        "join": "Then one more worker joined",
        "leave": "Then the first worker left",
        "restart": "Then a new worker joined, and the first one left",
        "detach": "Then it was detached",
    },
    "case": {
        "both": "both have the option",
        "only-first": "only the first has the option",
        "only-second": "only the second has the option",
        "after-bind": "the first sets the option after its bind()",
        "second-after-bind": "the second sets the option after its bind()",
        "other-uid": "the second belongs to another user",
        "root-over-user": "the first belongs to a user, the second to root",
        "time-wait": "the first has left a connection in TIME_WAIT",
    },
    "user": {"same": "the same user", "other": "another user", "root": "root"},
    "source": {
        "one-sender": "one sender",
        "many-ports": "many ports of one address",
        "many-addresses": "many addresses",
    },
    "delivery": {"multicast": "one sender to a multicast group", "broadcast": "a broadcast"},
}
"""Values of axes in words. Other values are used as they are."""

SETTING = "With {tunables}: "

PLACEHOLDER = re.compile(r"\{(\w+)(?:/(\w+))?(\+?)\}")

FIRST = re.compile(r"(?:^|(?<=[.?!] ))[an](?=ll |one )")
"""The first letters of a sentence that begins with a number in words."""

NOT_MEASURED = {
    State.INCONCLUSIVE: "It was asked, and the answer is not clear.",
    State.NOT_APPLICABLE: "This cannot be asked there.",
    State.NOT_RUN: "This was not run.",
    State.INFRASTRUCTURE: "The harness failed, not the kernel.",
}

NO_QUESTION = (
    "The question does not arise: one listener served everything, the others had nothing to lose."
)


class Account(Struct, frozen=True):
    """What was done and what happened, what it means for a server, and what to do.

    `told` still has counts of the cell in braces (`filled`); `means` and `do` may be empty.
    """

    told: str
    means: str = ""
    do: str = ""


def account(entry: Entry) -> Account:
    """Return the account of a cell; one of an unknown scenario or word has little to say."""
    scenario = CATALOGUE.get(entry.scenario)
    if scenario is None:
        return Account(NOT_MEASURED.get(entry.state, ""))
    done = _done(scenario.done, entry) or scenario.sentence
    if is_moot(entry):
        return Account(f"{done} {NO_QUESTION}")
    if entry.verdict is None:
        asked = done if entry.state is State.INCONCLUSIVE else scenario.sentence
        return Account(f"{asked} {NOT_MEASURED[entry.state]}")
    found = sense(entry)
    if found is None:
        return Account(done)
    told = " ".join(_kept(found.told, entry.counts)) or sentence(found.happened)
    return Account(f"{done} {told}", sentence(found.means), sentence(found.do))


def sentence(text: str) -> str:
    """Return the text as a sentence; a name such as `bind()` keeps its small letter."""
    if not text:
        return ""
    first = text[0] if "(" in text.split()[0] else text[0].upper()
    return f"{first}{text[1:].rstrip('.')}."


def _done(template: str, entry: Entry) -> str:
    """Return what was done, or nothing if the cell lacks one of the counts in it."""
    axes = entry.axes
    said = template if "failure" in axes else template.replace("{failure}", "{change}")
    for _ in range(2):  # a phrase may name another axis
        said = PLACEHOLDER.sub(lambda match: _phrase(match, axes), said)
    setting = axes.get("tunables")
    # A file may contain any value of an axis, also one that looks like a count.
    if not _says(said, entry.counts):
        return ""
    return f"{SETTING.format(tunables=setting)}{said}" if _plain(setting) else said


def _plain(value: str | None) -> bool:
    return value is not None and re.fullmatch(r"[\w.=-]{1,80}", value) is not None


def _phrase(match: re.Match[str], axes: Mapping[str, str]) -> str:
    """Return a value in words; a count's place stays, and an axis that the cell lacks is empty."""
    name = match[1]
    if name not in axes:
        return "" if name in PHRASES else match[0]
    value = axes[name]
    return PHRASES.get(name, {}).get(value, value if _plain(value) else "")


def _kept(sentences: Iterable[str], counts: Mapping[str, int]) -> Iterable[str]:
    """Return the sentences whose counts the cell has."""
    return (one for one in sentences if _says(one, counts))


def _says(template: str, counts: Mapping[str, int]) -> bool:
    """Return whether the cell has all counts of a template, and those that must not be 0."""
    return all(
        name in counts and ((name == match[1] and not match[3]) or bool(counts[name]))
        for match in PLACEHOLDER.finditer(template)
        for name in (match[1], match[2])
        if name
    )


def filled(template: str, counts: Mapping[str, int]) -> str:
    """Return a template with the counts of its cell; the page's script does the same."""
    said = PLACEHOLDER.sub(lambda match: _number(match, counts), template)
    return FIRST.sub(lambda match: match[0].upper(), said)


def _number(match: re.Match[str], counts: Mapping[str, int]) -> str:
    count = counts[match[1]]
    if not match[2]:
        return str(count)
    total = counts[match[2]]
    if count == total:
        return f"all {total}"
    return f"{count or 'none'} of {total}"
