"""Evidence: the cells of one or more matrices, each with its guest."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from harness.matrix import Entry, Facts, Matrix, Value

Release = tuple[int, ...]
"""The numbers at the beginning of a release; `()` if it is unknown."""

_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*(?![0-9])")
"""Matches the numbers of uname's release, whose form POSIX leaves open: `6.1.0-50-cloud-amd64`,
`14.1-RELEASE-p5`."""

DIGITS = 10
"""The most digits of a tunable's value that can be set (docs/wire.md)."""


def numbers(release: str | None) -> Release:
    """Return the numbers of a release, to compare it; `()` if it does not begin with one."""
    found = _NUMBERS.match(release or "")
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def release_order(release: str) -> tuple[Release, Release, str]:
    """Return the sort key of a release, in which `6.1.0-9` comes before `6.1.0-50`."""
    every = tuple(int(part) for part in re.findall(r"[0-9]{1,9}", release))
    return numbers(release), every, release


class Witness(Struct, frozen=True):
    """A guest of a run, as the matrix recorded it; `settings` are its tunables."""

    run: str
    guest: str
    system: str
    release: str | None
    provider: str | None
    settings: Mapping[str, Value]

    @classmethod
    def of(cls, run: str, guest: str, known: Facts) -> "Witness":
        """Read the facts of a guest; a system, release or provider that is no text is ignored."""
        facts = known.get("facts")
        said = facts if isinstance(facts, Mapping) else {}
        return cls(
            run,
            guest,
            _text(known.get("system")) or "",
            _text(known.get("release")),
            _text(known.get("provider")),
            # Only names of tunables contain a dot (sysctl(8)); the other facts are the agent's.
            {name: value for name, value in said.items() if "." in name},
        )

    def asked(self, entry: Entry) -> "Witness":
        """Return the guest with the tunable that this cell sets, if any."""
        if entry.cell.setting is None:
            return self
        name, value = entry.cell.setting
        number = int(value) if value.isdecimal() and len(value) <= DIGITS else value
        return replace(self, settings={**self.settings, name: number})

    @property
    def name(self) -> str:
        """The guest, its system and its release."""
        return f"{self.guest} ({self.system} {self.release or 'of unknown release'})"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class Evidence(Struct, frozen=True):
    """A cell and its guest."""

    witness: Witness
    entry: Entry


class Record(Struct, frozen=True):
    """All guests, and all evidence by scenario."""

    witnesses: tuple[Witness, ...]
    evidence: Mapping[str, tuple[Evidence, ...]]

    @classmethod
    def of(cls, matrices: Iterable[Matrix]) -> "Record":
        """Collect the evidence of matrices, in which guests may have the same name."""
        witnesses: list[Witness] = []
        evidence: dict[str, list[Evidence]] = {}
        for matrix in matrices:
            known = {
                guest: Witness.of(matrix.run.id, guest, facts)
                for guest, facts in matrix.guests.items()
            }
            witnesses += known.values()
            for entry in matrix.cells:
                witness = known[entry.guest].asked(entry)
                evidence.setdefault(entry.scenario, []).append(Evidence(witness, entry))
        return cls(tuple(witnesses), {name: tuple(found) for name, found in evidence.items()})
