"""`matrix.json` keeps the promised keys, and errors explain what is wrong with another file."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import matrix
from harness.errors import FileError
from harness.matrix import Asking, Entry, Matrix, Run
from harness.model import Cell, Depth, Judgement, State, Trial

SCHEMA_FILE = Path(__file__).parent.parent / "docs" / "matrix.schema.json"

CELL = Cell.at("failure-queued", option="reuseport", protocol="tcp", failure="kill")

RESET = Judgement(
    State.MEASURED, "reset", counts={"victim_reset": 88}, statistics={"home_kept_share": 1.0}
)

LOST = Judgement(State.INFRASTRUCTURE, why="guest lost")


def example(*judgements: Judgement) -> Matrix:
    trial = Trial("linux-6.12", CELL, judgements or (LOST, RESET), "2026-11-22T20:00:00Z", 0.4)
    run = Run("r1", "2026-11-22T19:59:00Z", Depth.QUICK)
    facts: matrix.Facts = {
        "system": "Linux",
        "cpus": 1,
        "tunables": {"net.ipv4.tcp_migrate_req": 0},
    }
    return Matrix.of(run, {"linux-6.12": facts}, [trial])


def test_it_has_the_keys_that_the_design_promises() -> None:
    found = json.loads(matrix.encode(example()))
    assert list(found) == ["schema", "run", "guests", "cells"]
    assert found["schema"] == 1
    assert found["run"] == {"id": "r1", "started": "2026-11-22T19:59:00Z", "catalogue": "quick"}
    assert found["guests"]["linux-6.12"]["tunables"] == {"net.ipv4.tcp_migrate_req": 0}
    (cell,) = found["cells"]
    assert cell == {
        "guest": "linux-6.12",
        "scenario": "failure-queued",
        "axes": {"option": "reuseport", "protocol": "tcp", "failure": "kill"},
        "state": "measured",
        "verdict": "reset",
        "why": None,
        "counts": {"victim_reset": 88},
        "statistics": {"home_kept_share": 1.0},
        "repeats": [
            {
                "state": "infrastructure",
                "verdict": None,
                "why": "guest lost",
                "counts": {},
                "statistics": {},
            },
            {
                "state": "measured",
                "verdict": "reset",
                "why": None,
                "counts": {"victim_reset": 88},
                "statistics": {"home_kept_share": 1.0},
            },
        ],
        "started": "2026-11-22T20:00:00Z",
        "seconds": 0.4,
    }


def test_it_comes_back_the_same() -> None:
    made = example()
    assert matrix.decode(matrix.encode(made)) == made
    assert made.cells[0].cell == CELL
    assert made.cells[0].judgement == RESET
    assert made.cells[0].repeats[0].judgement == LOST


JUDGEMENTS = st.builds(
    lambda word, why, counts: (
        Judgement(State.MEASURED, word, counts=counts)
        if word
        else Judgement(State.INCONCLUSIVE, why=why, counts=counts)
    ),
    st.text(max_size=5),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(0, 2**31), max_size=3),
)


@given(st.lists(JUDGEMENTS, min_size=1, max_size=3))
def test_any_trial_comes_back_the_same(judgements: list[Judgement]) -> None:
    made = example(*judgements)
    assert matrix.decode(matrix.encode(made)) == made


def test_the_published_schema_is_fresh() -> None:
    """To update the file, write the bytes of `harness.matrix.published()` to it."""
    assert SCHEMA_FILE.read_bytes() == matrix.published()


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA_FILE.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_published_schema_takes_what_is_written() -> None:
    validator().validate(json.loads(matrix.encode(example())))


@pytest.mark.parametrize(
    ("key", "value"),
    [("state", "guessed"), ("verdict", 3), ("counts", {"x": "y"}), ("seconds", -1), ("axes", [])],
)
def test_the_published_schema_and_the_reader_refuse_the_same(key: str, value: object) -> None:
    found = json.loads(matrix.encode(example()))
    found["cells"][0][key] = value
    assert not validator().is_valid(found)
    with pytest.raises(FileError, match=r"a matrix with a fault"):
        matrix.decode(json.dumps(found).encode())


def test_keys_that_are_new_do_not_trouble_an_old_reader() -> None:
    found = json.loads(matrix.encode(example()))
    found["cells"][0]["colour"] = found["colour"] = "blue"
    assert matrix.decode(json.dumps(found).encode()) == example()


GOOD = matrix.encode(example())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "old.json:1: the file is empty"),
        (b'{\n "schema": 1,\n oops}', "old.json:3: not JSON"),
        (b"\xff\xfe", "old.json:1: not JSON"),
        (b'{"schema": 1, "run": "\xff", "cells": 1}', "a matrix with a fault"),
        (b"[]", "JSON, but not a matrix"),
        (b'{"name": "package", "version": "1.0"}', "JSON, but not a matrix"),
        (b'{"schema": "draft-07", "run": {}, "cells": []}', "JSON, but not a matrix"),
        (b'{"schema": 2, "run": {}, "cells": []}', "schema 2 is newer than this program reads"),
        (b'{"schema": 0, "run": {}, "cells": []}', "schema 0 does not exist"),
        (b'{"schema": 1, "run": {}, "cells": []}', "a matrix with a fault"),
        (GOOD[: len(GOOD) // 2], "the file is cut off"),
        (GOOD[:-3], "the file is cut off"),
        (b"[" * 100_000, "old.json"),
        (GOOD.replace(b'"guest": "linux-6.12"', b'"guest": "x"'), "not in `guests`"),
        (GOOD.replace(b'"verdict": "reset"', b'"verdict": null'), "only state measured can"),
    ],
)
def test_any_other_file_is_named_for_what_it_is(content: bytes, message: str) -> None:
    with pytest.raises(FileError) as caught:
        matrix.decode(content, "old.json")
    assert message in str(caught.value)


@given(st.integers(0, len(GOOD) - 3))
def test_a_file_that_was_cut_anywhere_is_a_file_error(at: int) -> None:
    with pytest.raises(FileError):
        matrix.decode(GOOD[:at])


def test_a_cell_has_one_state_on_a_guest() -> None:
    entry = example().cells[0]
    with pytest.raises(ValueError, match="twice on guest"):
        Matrix(1, example().run, {"linux-6.12": {}}, (entry, entry))
    with pytest.raises(ValueError, match="not in `guests`"):
        Matrix(1, example().run, {}, (entry,))


def test_an_entry_holds_what_a_judgement_holds() -> None:
    with pytest.raises(ValueError, match="verdict"):
        Asking(State.MEASURED, None, None)
    with pytest.raises(ValueError, match="reason"):
        Entry("g", "sharing", {}, State.NOT_RUN, None, None)
