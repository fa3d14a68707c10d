"""Writes the judgement of each recording to a file. Run it after adding recordings; read the diff.

`python tests/record_expectations.py` with the repository on PYTHONPATH; no test calls this.
"""

import json
import re

from test_recordings import DATA, in_words

from harness.judge import conclude
from harness.scenarios import CATALOGUE, SCRIPTS
from harness.wire.replies import Reply, parse


def words(reply: Reply) -> str:
    if reply.observation is None:
        raise SystemExit(f"not to be recorded: {reply.id} is torn: {reply.torn}")
    return in_words(conclude(CATALOGUE[reply.observation.begin.scenario], reply.observation))


def record() -> None:
    for scenario in CATALOGUE:
        files = sorted((DATA / scenario).glob("*.jsonl"))
        found = {
            path.name: [words(reply) for reply in parse(path.read_bytes(), SCRIPTS)]
            for path in files
        }
        text = re.sub(r"\[\s+(\"[^\n]*\")\s+\]", r"[\1]", json.dumps(found, indent=1))
        (DATA / scenario / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    record()
