"""Removes from a terminal's output what is not text, as it arrives in pieces."""

import re

SEQUENCE = re.compile(
    r"""\x1b(?:
        \[ [0-?]* [ -/]* [@-~]          # CSI: colours, cursor (ECMA-48, 5.4)
      | [\]PX^_] [^\x07\x1b]* (?:\x07|\x1b\\)   # OSC, DCS, …: up to BEL or ST (5.6)
      | [ -/]+ [0-~]                    # character sets
      | [0-Z\\`-~]                      # two characters
    )""",
    re.VERBOSE,
)

BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")
"""A sequence whose end has not arrived."""

DELETED = re.compile(r"[^\x08\n]\x08")

CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

LONGEST = 256
"""Characters of an unfinished sequence after which it is taken as noise."""

KEPT = 16 << 10
"""Characters that are searched at most; of a flood only the end is kept."""


class CleanText:
    """The text that arrived since the last `drop`; backspaces delete, other controls vanish."""

    def __init__(self) -> None:
        self.text = ""
        self._begun = ""

    def add(self, said: str) -> None:
        """Add a piece of output."""
        said = self._begun + said
        begun = BEGUN.search(said)
        cut = len(said) if begun is None or len(said) - begun.start() > LONGEST else begun.start()
        self._begun = said[cut:]
        self.text = _deleted(self.text + SEQUENCE.sub("", said[:cut]))[-KEPT:]

    def drop(self, count: int | None = None) -> None:
        """Forget the first `count` characters, or all."""
        self.text = "" if count is None else self.text[count:]


def _deleted(text: str) -> str:
    """Carry out backspaces; leave lines and blanks, and remove other control characters."""
    while (shorter := DELETED.sub("", text)) != text:
        text = shorter
    return CONTROLS.sub("", text.replace("\t", " "))
