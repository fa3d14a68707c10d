"""Like tests/test_fuzz.py, but guided by coverage (atheris). Run it by hand, as long as you like.

    pip install atheris                  # wheels for Linux and CPython 3.11 to 3.13
    PYTHONPATH=. python tests/fuzz_atheris.py wire -max_total_time=600 [CORPUS FOLDER]

The first argument is `wire`, or a reader of tests/fuzzed.py: `guest file`, `matrix`, `journal`, ….
The other arguments go to libFuzzer. It stops at the first traceback and writes the input to a file
`crash-…`.
"""

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["harness", "yaml"]):
    from fuzzed import READERS, Reader
    from recorded_matrix import DATA

    from harness.scenarios import SCRIPTS
    from harness.wire.replies import parse

Look = Callable[[bytes], object]


def looks() -> dict[str, tuple[Look, tuple[bytes, ...]]]:
    """Return what can be fuzzed, by name: the function that takes the bytes, and its seeds."""
    recordings = tuple(path.read_bytes() for path in sorted(DATA.glob("*/*.jsonl"))[::20])
    return {"wire": (_said, recordings)} | {
        reader.name: (_in_a_folder(reader), reader.seeds) for reader in READERS
    }


def _in_a_folder(reader: Reader) -> Look:
    def look(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            reader.look(Path(folder), content)

    return look


def _said(content: bytes) -> None:
    replies = parse(content, SCRIPTS)
    assert b"".join(reply.raw for reply in replies) == content


def main() -> None:
    """Fuzz what the first argument names."""
    known = looks()
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        sys.exit(f"name one of these to fuzz: {', '.join(known)}")
    look, seeds = known[sys.argv.pop(1)]
    logging.disable()  # invalid leases are logged
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus, "-max_len=65536"], look)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
