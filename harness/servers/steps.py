"""The steps of a restart, one line each, as a server file and the agent write them.

The agent takes them as they stand (docs/wire.md, "restart"), so this checks them strictly.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from harness.model.server import SERVER_NAME

SIGNALS = ("HUP", "USR1", "USR2", "QUIT", "TERM", "INT", "WINCH", "KILL", "TTIN", "TTOU")

WHO = "main, second, worker, or file: and the path of a pid file"

VERBS = {
    "write": "writes all files anew, as the next generation",
    "set": "changes a number of the next `write`: set workers 2",
    "run": "runs a line of sh in the folder: run nginx -s reload",
    "start": "starts one more instance, the second",
    "signal": "sends a signal: signal HUP main",
    "gone": "waits until a process has ended: gone main",
    "main": "from now on `main` is another: main second, main file:nginx.pid",
    "new": "waits until the new generation answers",
    "all-new": "waits until it answers 20 times in a row, and so the old one no more",
    "old-gone": "waits until the children that `main` had before its last signal have ended",
    "sleep": "waits some milliseconds: sleep 200",
}
"""Each verb and what it does."""

LONGEST_SLEEP = 10_000
"""ms; a question has an alarm."""

LONGEST = 1000
"""The most characters of a step."""


def mistake(step: str) -> str | None:
    """Return what is wrong with a step; None if it can be taken."""
    if len(step) > LONGEST or "\n" in step:
        return f"expected one line of at most {LONGEST} characters"
    verb, _, rest = step.partition(" ")
    if verb not in VERBS:
        return f"no step begins with `{verb}`; known: {', '.join(VERBS)}"
    if verb == "run":
        return None if rest.strip() else "`run` needs a line for sh"
    words = rest.split()
    check = CHECKS.get(verb)
    if check is not None:
        return check(words)
    return f"`{verb}` takes nothing after it" if words else None


def longer(step: str, factor: float) -> str:
    """Return the step for a guest that is so much slower than a fast host: it sleeps longer."""
    verb, _, rest = step.partition(" ")
    return f"{verb} {round(int(rest) * factor)}" if verb == "sleep" else step


def _set(words: Sequence[str]) -> str | None:
    right = len(words) == 2 and words[0] == "workers" and _number(words[1], 1, 64)
    return None if right else "expected `set workers N`, with N from 1 to 64"


def _sleep(words: Sequence[str]) -> str | None:
    right = len(words) == 1 and _number(words[0], 1, LONGEST_SLEEP)
    return None if right else f"expected `sleep MS`, with MS from 1 to {LONGEST_SLEEP}"


def _signal(words: Sequence[str]) -> str | None:
    if len(words) != 2 or words[0] not in SIGNALS:
        return f"expected `signal NAME WHO`, with NAME one of {', '.join(SIGNALS)}"
    return _whose(words[1])


def _gone(words: Sequence[str]) -> str | None:
    return _whose(words[0]) if len(words) == 1 else "expected `gone WHO`"


def _main(words: Sequence[str]) -> str | None:
    if len(words) != 1 or words[0] in ("main", "worker"):
        return "expected `main second`, or `main file:PATH` with the path of a pid file"
    return _whose(words[0])


CHECKS: Mapping[str, Callable[[Sequence[str]], str | None]] = {
    "set": _set,
    "sleep": _sleep,
    "signal": _signal,
    "gone": _gone,
    "main": _main,
}
"""What a verb takes after it; the others take nothing."""


def _number(text: str, least: int, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most


def _whose(who: str) -> str | None:
    path = who.removeprefix("file:") if who.startswith("file:") else None
    if who in ("main", "second", "worker") or (path and is_inside(path)):
        return None
    return f"`{who}` is nobody; expected {WHO}"


def is_inside(path: str) -> bool:
    """Return whether a relative path stays in the server's folder and has plain characters."""
    parts = path.split("/")
    plain = re.fullmatch(r"[A-Za-z0-9._/-]{1,100}", path) is not None
    return plain and all(part not in ("", ".", "..") for part in parts)


def is_name(name: str) -> bool:
    """Return whether a server or a way may have this name."""
    return SERVER_NAME.fullmatch(name) is not None
