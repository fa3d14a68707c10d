"""Finds what a console step waits for in a console's text, and what says that it will not come."""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from harness.model.console_step import ConsoleStep

INTERRUPTED = r"(?:[^\n]{0,300}\n){1,4}"
"""What a kernel may print in the middle of a prompt: lines, after which the prompt goes on."""

LONG_ENOUGH = 4
"""Characters of a text that is also found interrupted; pieces of a shorter one are anywhere."""

PRINTK = re.compile(r"\[ *\d+\.\d+\] [^\n]*\n")
"""A message of Linux's kernel with its time."""

LOGIN = re.compile(r"(?<!last )\blogin: *\Z", re.IGNORECASE)
"""A login prompt: the last text on a console (getty(8), login(1))."""

REFUSALS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"login incorrect|authentication failure", re.IGNORECASE), "refuses the login"),
    (
        re.compile(r"\bnew (?:unix )?password|password .{0,20}expired", re.IGNORECASE),
        "asks for a new password",
    ),
    (re.compile(r"^(?:panic: |fatal trap )", re.IGNORECASE | re.MULTILINE), "panicked"),
    (re.compile(r"^(?:db(?:\{\d+\})?|mountroot)> *\Z", re.MULTILINE), "waits in its debugger"),
)
"""What ends a step at once, unless the step's text comes first: a pattern, and what the guest
does."""

PROMPTS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"\bpassword(?: for \w+)?: *\Z", re.IGNORECASE), "asks for a password"),
    (LOGIN, "asks who logs in"),
)
"""The same, unless the step waits for a part of it."""


class Found(Struct, frozen=True):
    """Where something was found; `refusal` is what the guest does instead, None for a match."""

    end: int
    text: str
    refusal: str | None = None


def wanted(step: ConsoleStep) -> re.Pattern[str]:
    """Return the pattern of what a step waits for."""
    if step.match is not None:
        return re.compile(step.match)
    text = step.wait or ""
    forms = [re.escape(text)]
    if len(text) >= LONG_ENOUGH:
        cuts = ((text[:cut], text[cut:]) for cut in range(1, len(text)))
        forms += [re.escape(head) + INTERRUPTED + re.escape(rest) for head, rest in cuts]
    return re.compile("|".join(forms))


def find(pattern: re.Pattern[str], text: str) -> Found | None:
    """Return what comes first in the text: a match, or a refusal; None if there is neither."""
    match = pattern.search(text)
    refused = [(one.start(), why, one) for one, why in _all(REFUSALS, text)]
    refused += [(one.end() - 1, why, one) for one, why in _all(PROMPTS, text)]
    begin, why, found = min(refused, key=lambda one: one[0], default=(len(text), "", None))
    if match is not None and match.start() <= begin:
        return Found(match.end(), match[0])
    if found is not None:
        return Found(found.end(), found[0], why)
    # A kernel's message behind a prompt, or inside it, would keep a pattern from matching.
    quiet = PRINTK.sub("", text)
    found_in_quiet = None if quiet == text else find(pattern, quiet)
    return None if found_in_quiet is None else replace(found_in_quiet, end=len(text))


def _all(
    table: Sequence[tuple[re.Pattern[str], str]], text: str
) -> Iterator[tuple[re.Match[str], str]]:
    for pattern, why in table:
        match = pattern.search(text)
        if match is not None:
            yield match, why
