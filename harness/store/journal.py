"""The lines of the journal, and reading them. Lines are appended whole, in order, never changed."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field

from harness.errors import FileError, Phase
from harness.machine import guarded
from harness.machine.files import as_json
from harness.model import Cell, Depth

logger = logging.getLogger(__name__)


JOURNAL = 1
"""The version of the journal's lines."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not a line of the journal."""


class RunBegun(Struct, frozen=True, tag="run", tag_field="line"):
    """The start of a run, or of a resumed one, with all its cells; always the first line.

    `tunables` are those of each guest. A guest is not asked cells that set other tunables.
    `shards`: into how many copies each guest's cells are split.
    """

    id: str
    started: str
    catalogue: Depth
    version: str
    guests: Mapping[str, str]
    cells: tuple[Cell, ...]
    tunables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    journal: int = JOURNAL
    shards: int = 1


class GuestMet(Struct, frozen=True, tag="guest", tag_field="line"):
    """A guest came up; one line for each boot. `machine` is where, empty without a cluster."""

    guest: str
    at: str
    provenance: Mapping[str, str]
    facts: Mapping[str, int | str]
    machine: str = ""


class GuestMissed(Struct, frozen=True, tag="not-run", tag_field="line"):
    """This machine could not start a guest at all."""

    guest: str
    why: str
    hint: str | None = None


class Failure(Struct, frozen=True):
    """A failure of the infrastructure, not of the kernel under test.

    `phase` is the step that failed, `seconds` the time since it began, `console` the end of the
    guest's console.
    """

    phase: Phase
    why: str
    seconds: float | None = None
    console: str = ""

    @property
    def sentence(self) -> str:
        """The failure in one line."""
        when = "" if self.seconds is None else f" after {self.seconds:.1f} s"
        return f"{self.phase}{when}: {self.why}"


class Asked(Struct, frozen=True, tag="asked", tag_field="line"):
    """One question for one cell, and the bytes of `agent.jsonl` that answer it, or what failed.

    `raw` is offset and length in the guest's file. `status` is the exit status of the agent's
    process that answered; None if unknown. `started` is UTC in ISO 8601. `factor` is the slow-host
    factor. `machine` is where the guest ran, empty without a cluster.
    """

    guest: str
    cell: Cell
    attempt: int
    question: str
    parameters: Mapping[str, str]
    started: str
    seconds: float
    raw: tuple[int, int] = (0, 0)
    status: int | None = None
    failure: Failure | None = None
    factor: float = 1.0
    machine: str = ""

    @property
    def id(self) -> str:
        """The name of the question's line in its batch."""
        return self.question

    @property
    def scenario(self) -> str:
        """The agent's name for the scenario."""
        return self.cell.scenario


Line = RunBegun | GuestMet | GuestMissed | Asked

_decoder = msgspec.json.Decoder(Line)


ABSENT = (b',"machine":""}', b',"shards":1}')
"""The ends of lines of a run without a cluster and without shards, which leave these keys out."""


def encode(line: Line) -> bytes:
    """Return the bytes of the line, with its newline."""
    text = as_json(line)
    for end in ABSENT:
        if text.endswith(end):
            text = text.removesuffix(end) + b"}"
    return text + b"\n"


class Fault(Struct, frozen=True):
    """A damaged line; `guest` is the guest whose answer it may have held, None if any guest's."""

    number: int
    guest: str | None
    why: str


class Journal(Struct, frozen=True):
    """The valid lines of a journal, and those that are damaged. At least one `RunBegun` is valid.

    A damaged line costs only what it held: each guest stands alone.
    """

    lines: tuple[Line, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def begun(self) -> tuple[RunBegun, ...]:
        """The lines of the run and of its resumptions."""
        return tuple(line for line in self.lines if isinstance(line, RunBegun))


def read(path: Path) -> Journal:
    """Read a whole journal. A last line that was cut off is dropped with a warning.

    Raise `FileError` if the file cannot be read, or if no line says what the run is.
    """
    try:
        content = guarded.read(path, inside=path.parent)
    except OSError as exc:
        hint = "name the folder that a `run` wrote"
        raise FileError(path, None, f"cannot read this journal: {exc.strerror}", hint=hint) from exc
    found = tuple(_lines(path, content))
    faults = tuple(line for line in found if isinstance(line, Fault))
    journal = Journal(tuple(line for line in found if not isinstance(line, Fault)), faults)
    if not journal.begun:
        number, why = (faults[0].number, faults[0].why) if faults else (1, "it has none")
        message = f"a journal must begin with the line of its run: {why}"
        raise FileError(path, number, message, hint="name the folder that a `run` wrote")
    return journal


class _JournalVersion(Struct, frozen=True):
    journal: int = JOURNAL


def _check_version(path: Path, number: int, text: bytes) -> None:
    """Raise `FileError` for the journal of a newer program, whose lines may have any shape."""
    try:
        version = msgspec.json.decode(text, type=_JournalVersion).journal
    except UNREADABLE:
        return  # not a valid line; the caller reports that
    if version > JOURNAL:
        message = f"journal {version} is newer than this program reads ({JOURNAL})"
        raise FileError(path, number, message, hint="install a newer reuseport-matrix")


_GUEST = re.compile(rb'"guest":"([^"\\]{1,129})"')


def _lines(path: Path, content: bytes) -> Iterator[Line | Fault]:
    *whole, rest = content.split(b"\n")
    for number, text in enumerate(whole, start=1):
        if b'"journal"' in text:
            _check_version(path, number, text)
        try:
            yield _decoder.decode(text)
        except UNREADABLE as exc:
            guest = _GUEST.search(text)
            named = None if guest is None else guest[1].decode(errors="replace")
            yield Fault(number, named, f"not a line of the journal: {exc}")
    if rest:
        logger.warning("%s:%d: the last line was cut off and is dropped", path, len(whole) + 1)
