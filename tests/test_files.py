"""Files that appear whole."""

import os
import threading
from pathlib import Path

import pytest

from harness.machine.files import identity, recall, remember, write_whole


def test_two_threads_write_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 200_000 for number in range(8)]
    problems: list[BaseException] = []
    start = threading.Barrier(len(contents))

    def write(content: bytes) -> None:
        start.wait()
        try:
            for _ in range(20):
                write_whole(path, content)
        except OSError as exc:
            problems.append(exc)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert path.read_bytes() in contents
    assert [*tmp_path.iterdir()] == [path]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_unfinished_file_has_the_ending_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(p.name for p in tmp_path.iterdir()))
    write_whole(tmp_path / "file", b"content", ending=".7.new", durable=True)
    (name,) = seen
    assert name.startswith(".file.")
    assert name.endswith(".7.new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_another_file_or_another_content_is_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "file"
    missing = identity(path)
    path.write_bytes(b"content")
    first = identity(path)
    assert identity(path) == first != missing
    os.utime(path, ns=(1, 1))
    touched = identity(path)
    write_whole(path, b"content")
    assert len({missing, first, touched, identity(path)}) == 4


def test_an_answer_is_recalled_if_it_is_of_the_kind_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    assert recall(path, str) is None
    remember(path, "said")
    assert recall(path, str) == "said"
    assert recall(path, int) is None
    for damaged in (b"", b'"sai', b'"\xff"'):
        path.write_bytes(damaged)
        assert recall(path, str) is None
