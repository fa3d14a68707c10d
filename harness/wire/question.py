"""A question to the agent, as one unambiguous line (docs/wire.md)."""

import re
from collections.abc import Mapping

from msgspec import Struct, field

WORD = re.compile(r"[A-Za-z0-9_.,:+-]+")

VALUE = re.compile(r"[A-Za-z0-9_.,:+=-]+")
"""A value may contain `=`: only the first `=` of a pair ends its key."""


class Question(Struct, frozen=True):
    """A scenario at one point of the axes. The agent repeats `id` in its answer."""

    id: str
    scenario: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The line for `agent batch`; raises ValueError on a word that would need quoting."""
        words = ((word, WORD) for word in (self.id, self.scenario, *self.parameters))
        values = ((value, VALUE) for value in self.parameters.values())
        for word, form in (*words, *values):
            if not form.fullmatch(word):
                raise ValueError(f"not a word of the agent's language: {word!r}")
        pairs = (f"{name}={value}" for name, value in self.parameters.items())
        return " ".join((self.id, self.scenario, *pairs)) + "\n"
