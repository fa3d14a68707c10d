"""Keeps what a run says of servers in `docs/report/servers`, and shows it in the README.

`python tests/record_servers.py RUN` with the repository on PYTHONPATH, where RUN is the folder of
`reuseport-matrix run host --full --servers --out RUN`. No test calls this.
"""

import re
import sys
from pathlib import Path

from test_kept_servers import KEPT, README, shown

from harness.matrix import encode
from harness.store.runs import load_matrix

TABLE = re.compile(r"(full\s+run\s+on\s+)[\d-]{10}(.*?\n\n)\|.*?(?=\n\n## )", re.DOTALL)
"""The README from the date of the run to the end of the section."""


def record(run: Path) -> None:
    matrix = load_matrix(run)
    KEPT.mkdir(exist_ok=True)
    (KEPT / "matrix.json").write_bytes(encode(matrix))
    text, count = TABLE.subn(
        lambda found: f"{found[1]}{matrix.run.started[:10]}{found[2]}{shown(matrix)}",
        README.read_text(),
    )
    if count != 1:
        raise SystemExit("README.md has no place for the table")
    README.write_text(text)


if __name__ == "__main__":
    record(Path(sys.argv[1]))
