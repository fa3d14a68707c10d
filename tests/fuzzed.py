"""Everything that reads files from others, with valid files as seeds for mutation."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from recorded_matrix import recorded
from test_store import BEGUN, OTHER, RAW, asked, failed

from harness import guests, leases, matrix
from harness.errors import FileError
from harness.leases import Lease, Undo
from harness.machine.pid import Process
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.run.baseline_file import load_baseline
from harness.store import Store, journal, judge_folder, recordings_of
from harness.store.archive import night

MATRIX = matrix.encode(replace(recorded(), cells=recorded().cells[:3]))

LEASE = Lease(
    id="a" * 32,
    guest="linux-6.1",
    owner=Process(4194999, 7.0),
    folder="/nowhere",
    created="2026-11-22T00:00:00+00:00",
    undo=(Undo(("true",), 5.0),),
)

LINES = (
    BEGUN,
    journal.GuestMet("one", "2026-11-22T00:00:00+00:00", {"provider": "qemu"}, {"cpus": 1}),
    replace(asked(), raw=(0, len(RAW))),
    failed("it did not come up", OTHER),
    journal.GuestMissed("two", "no hypervisor"),
)

BASELINE = b"""\
schema: 1
matrix: before.json
expect:
  - {scenario: "dist*", verdict: balanced}
known:
  - guest: linux
    scenario: distribution
    axes: {family: ipv4}
    verdict: [newest, oldest]
    reason: a bug that is being mended
    expires: 2026-12-01
"""


class Reader(Struct, frozen=True):
    """A reader of `file`, which is written to its own folder; tried with `examples` mutants."""

    name: str
    file: str
    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    examples: int = 200

    def look(self, folder: Path, content: bytes) -> FileError | None:
        """Read the content; return the `FileError` if it was rejected, else None."""
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            self.read(path)
        except FileError as exc:
            return exc
        return None


def _baseline(path: Path) -> object:
    (path.parent / "before.json").write_bytes(MATRIX)
    return load_baseline(path)


def _lease(path: Path) -> object:
    found = leases.leases(Places(path.parent, path.parent.parent))
    # The file names a folder that must exist.
    assert all(lease.id and not {*lease.id} & {"/", ".", "\0"} for lease in found)
    return found


def _run(path: Path) -> object:
    """Judge a run with this journal."""
    replies = path.parent / "guests" / "one" / "agent.jsonl"
    replies.parent.mkdir(parents=True)
    replies.write_bytes(RAW)
    return matrix.encode(judge_folder(path.parent)), recordings_of(path.parent)


def _said(path: Path) -> object:
    """Judge a run in which a guest sent this."""
    folder = path.parent / "run"
    with Store.create(folder, BEGUN) as store:
        store.guest("one").answered(asked(), path.read_bytes())
    return matrix.encode(judge_folder(folder)), recordings_of(folder)


JOURNAL = b"".join(journal.encode(line) for line in LINES)

READERS = (
    Reader(
        "guest file",
        "x.yaml",
        lambda path: guests.load([path.parent]),
        tuple(path.read_bytes() for path in sorted(guests_folder().glob("*.yaml"))),
        examples=80,
    ),
    Reader("baseline", "expected.yaml", _baseline, (BASELINE,)),
    Reader("matrix", "matrix.json", lambda path: matrix.decode(path.read_bytes(), path), (MATRIX,)),
    Reader("history", "matrix.json", lambda path: night(path.read_bytes(), path), (MATRIX,)),
    Reader("journal", "journal.jsonl", journal.read, (JOURNAL,)),
    Reader("run", "journal.jsonl", _run, (JOURNAL,)),
    Reader("answer", "said.jsonl", _said, (RAW,)),
    Reader("lease", "state/leases/a.json", _lease, (msgspec.json.encode(LEASE),)),
)
