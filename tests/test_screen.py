"""A PC's text screen: what its memory shows, and what was printed between two looks."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import BootError
from harness.model.keyboard import KEYS, key_of
from harness.providers.qemu.qmp import Monitor
from harness.providers.qemu.typed_console import screen
from harness.providers.qemu.typed_console.screen import Screen
from harness.providers.qemu.typed_console.screen_text import SIZE, Layout, added, lines


def memory(*texts: str, start: int = 0, columns: int = 80) -> bytes:
    """Return text memory that shows the lines from a cell on."""
    cells = bytearray(b" \x07" * (SIZE // 2))
    for row, text in enumerate(texts):
        for column, byte in enumerate(text.encode("cp437")):
            cell = (start + row * columns + column) % (SIZE // 2)
            cells[2 * cell] = byte
    return bytes(cells)


def layout(start: int = 0, cursor: int = 0) -> Layout:
    return Layout(columns=80, rows=25, pitch=80, start=start, cursor=cursor)


def test_lines_have_no_blanks_at_their_ends() -> None:
    assert lines(memory("one", "", "  two"), layout()) == ["one", "", "  two"]
    assert lines(memory(), layout()) == []


def test_a_prompt_keeps_the_blank_before_the_cursor() -> None:
    assert lines(memory("a", "login: "), layout(cursor=80 + 7)) == ["a", "login: "]
    assert lines(memory("a", "login: "), layout(cursor=80 * 3)) == ["a", "login:"]


def test_a_screen_that_scrolled_by_its_start_address_wraps() -> None:
    start = SIZE // 2 - 80
    shown = lines(memory("one", "two", "three", start=start), layout(start))
    assert shown == ["one", "two", "three"]


def test_other_characters_are_those_of_a_pc() -> None:
    assert lines(memory("é ░"), layout()) == ["é ░"]


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ([], ["a"], "\na"),
        (["a"], ["a"], ""),
        (["a", "login: "], ["a", "login: root"], "root"),
        (["a", "login:"], ["a", "login: "], " "),
        (["a", "b"], ["a", "b", "c", "d"], "\nc\nd"),
        (["a", "b", "c"], ["b", "c", "d"], "\nd"),
        (["a", "b", "# x"], ["# xyz", "out", "# "], "yz\nout\n# "),
        (["a", "b"], ["c", "d"], "\nc\nd"),
        (["a", "b"], [], ""),
        (["a", "login: roo"], ["a", "login: "], "\na\nlogin: "),
    ],
)
def test_what_was_printed_between_two_looks(before: list[str], now: list[str], new: str) -> None:
    assert added(before, now) == new


class FakeDisplay:
    """QEMU's monitor with a VGA: text memory and registers."""

    def __init__(self) -> None:
        self.memory = memory()
        self.controller = {1: 79, 7: 0x1F, 9: 0x4F, 0x0C: 0, 0x0D: 0, 0x0E: 0, 0x0F: 0}
        self.controller |= {0x12: 0x8F, 0x13: 0x28}
        self.graphics = {6: 0x0E}
        self.indexes = {0x3D4: 0x0A, 0x3CE: 0x05}
        self.colour = 0x67
        self.running = True
        self.pressed: list[object] = []

    def answer(self, asked: dict[str, object]) -> object:
        """Return what QEMU answers."""
        arguments = asked.get("arguments")
        assert isinstance(arguments, dict)
        match asked["execute"]:
            case "stop" | "cont":
                self.running = asked["execute"] == "cont"
            case "pmemsave":
                Path(arguments["filename"]).write_bytes(self.memory)
            case "send-key":
                self.pressed.append(arguments["keys"])
            case "human-monitor-command":
                return self._port(*arguments["command-line"].split())
        return {}

    def _port(self, way: str, size: str, where: str, value: str = "") -> str:
        assert size == "/b"
        assert not self.running, "the guest may write an index meanwhile"
        port, _, index = where.partition(".")
        number = int(port, 16)
        if way == "o":
            self.indexes[number] = int(value, 16)
            return ""
        if number == 0x3CC:
            found = self.colour
        elif index:
            self.indexes[number] = int(index, 16)
            found = {0x3D4: self.controller, 0x3CE: self.graphics}[number][int(index, 16)]
        else:
            found = self.indexes[number]
        return f"portb[{number:#x}] = {found:#x}\r\n"


@contextmanager
def monitor(answer: Callable[[dict[str, object]], object]) -> Iterator[Monitor]:
    """Yield a monitor whose questions a thread answers."""
    with Monitor() as ours:
        theirs = ours.theirs.dup()

        def play() -> None:
            with theirs, theirs.makefile() as asked:
                for line in asked:
                    reply = {"return": answer(json.loads(line))}
                    theirs.sendall(json.dumps(reply).encode() + b"\n")

        thread = threading.Thread(target=play)
        thread.start()
        ours.release()
        try:
            yield ours
        finally:
            ours.__exit__(None, None, None)
            thread.join()


@pytest.fixture
def display() -> FakeDisplay:
    return FakeDisplay()


@pytest.fixture
def face(display: FakeDisplay, tmp_path: Path) -> Iterator[Screen]:
    with monitor(display.answer) as ours:
        yield Screen(ours, tmp_path, Deadline(20), lambda: None)


def test_a_screen_is_read_while_the_guest_stands_still(face: Screen, display: FakeDisplay) -> None:
    display.memory = memory("Booting", "login: ")
    display.controller[0x0F] = 80 + 7
    assert face.read() == "\nBooting\nlogin: "
    assert face.read() == ""
    display.memory = memory("login: root", "# ", start=80)
    display.controller |= {0x0D: 80, 0x0F: 80 + 80 + 2}
    assert face.read() == "root\n# "
    assert display.running
    assert display.indexes == {0x3D4: 0x0A, 0x3CE: 0x05}


def test_a_screen_that_stays_graphic_is_told(
    face: Screen, display: FakeDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    display.graphics[6] = 0x05
    assert face.read() == ""  # a boot loader's picture
    monkeypatch.setattr(screen, "GRAPHIC", -1.0)
    display.memory = memory("noise")
    with pytest.raises(BootError, match="its screen is graphic") as caught:
        face.read()
    assert "text mode" in str(caught.value.hint)


def test_a_screen_without_colours_is_not_read(face: Screen, display: FakeDisplay) -> None:
    display.memory, display.colour = memory("text"), 0x66
    assert face.read() == ""


def test_keys_are_pressed_by_their_names(face: Screen, display: FakeDisplay) -> None:
    key = key_of("A")
    assert key is not None
    face.press(key)
    face.press(KEYS["enter"])
    names = [
        [{"type": "qcode", "data": name} for name in names] for names in (["shift", "a"], ["ret"])
    ]
    assert display.pressed == names
