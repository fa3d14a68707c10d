"""The text screen and the keyboard of a PC, through QEMU's monitor.

The screen is read from the display's memory, so a graphic screen cannot be read.
"""

import re
import time
from pathlib import Path

from harness.deadline import Deadline
from harness.errors import BootError
from harness.machine import guarded
from harness.model.keyboard import Key
from harness.providers.qemu.qmp import Monitor
from harness.providers.qemu.typed_console.screen_text import BASE, SIZE, Layout, added, lines
from harness.transport import Alive

CONTROLLER, GRAPHICS, OUTPUT = 0x3D4, 0x3CE, 0x3CC
"""Ports of a VGA (IBM, "VGA registers"): the CRT controller's index, the graphics controller's
index, and the register that tells which ports the CRT controller has."""

COLUMNS, OVERFLOW, SCAN, START, CURSOR, ROWS, PITCH = 0x01, 0x07, 0x09, 0x0C, 0x0E, 0x12, 0x13
"""Registers of the CRT controller; start and cursor have their low byte in the next one."""

MODE = 0x06
"""The graphics controller's register for graphics (bit 0) and the memory's address (bits 2, 3)."""

TEXT, MAP = 0b1100, 0b1101
"""What `MODE` has for text at `BASE`, under a mask."""

PORT = re.compile(r"= 0x([0-9a-f]+)")

LOOK = 3.0
"""Seconds after which the registers are read even if the memory has not changed."""

GRAPHIC = 15.0
"""Seconds for which a screen may be graphic, for example with a boot loader's picture."""

HOLD = 10
"""Milliseconds to hold a key: QEMU's 100 would limit us to ten characters a second."""


class Screen:
    """Reads the screen of a running guest and presses its keys."""

    name = "the screen"
    poll = 0.25
    chunk = 4
    """Keys to press before looking for their echo: a PS/2 keyboard keeps only 16 bytes."""
    pace = 0.1
    stream = False

    def __init__(self, monitor: Monitor, folder: Path, deadline: Deadline, alive: Alive) -> None:
        self._monitor = monitor
        self._file = folder / "screen"
        self._deadline = deadline
        self._alive = alive
        self._memory = b""
        self._looked = 0.0
        self._lines: list[str] = []
        self._text_seen = time.monotonic()

    def read(self) -> str:
        """Return what was printed since the last look; raise `BootError` if it stays graphic."""
        memory = self._saved()
        now = time.monotonic()
        if memory == self._memory and now - self._looked < LOOK:
            return ""
        # A guest writes an index and then a register: if it runs, we would change its index.
        with self._monitor.stopped(self._deadline, self._alive):
            memory, layout = self._saved(), self._layout()
        self._memory, self._looked = memory, now
        if layout is None:
            if now - self._text_seen > GRAPHIC:
                raise BootError(
                    "its screen is graphic, and only a text screen can be read",
                    hint="have the system use text mode, or its serial console (`on: serial`)",
                )
            return ""
        self._text_seen = now
        shown = lines(memory, layout)
        new = added(self._lines, shown)
        self._lines = shown
        return new

    def press(self, key: Key) -> None:
        """Press a key, and release it."""
        held = [{"type": "qcode", "data": code} for code in key.codes]
        self._ask("send-key", {"keys": held, "hold-time": HOLD})

    def _saved(self) -> bytes:
        self._ask("pmemsave", {"val": BASE, "size": SIZE, "filename": str(self._file)})
        return guarded.read(self._file, SIZE, inside=self._file.parent)

    def _layout(self) -> Layout | None:
        """Return where the visible text is; None if the screen is graphic, or has no colours."""
        if not self._port(OUTPUT) & 1:  # a monochrome display has other ports
            return None
        (mode,) = self._registers(GRAPHICS, MODE)
        if mode & MAP != TEXT:
            return None
        wanted = (COLUMNS, OVERFLOW, SCAN, START, START + 1, CURSOR, CURSOR + 1, ROWS, PITCH)
        columns, over, scan, high, low, cursor, cursor_low, rows, pitch = self._registers(
            CONTROLLER, *wanted
        )
        height = 1 + rows + ((over & 0x02) << 7) + ((over & 0x40) << 3)
        start = high << 8 | low
        return Layout(
            columns=columns + 1,
            rows=min(height // (1 + (scan & 0x1F)) >> (scan >> 7), 100),
            pitch=max(pitch * 2, 1),
            start=start,
            cursor=max((cursor << 8 | cursor_low) - start, 0),
        )

    def _registers(self, index: int, *numbers: int) -> list[int]:
        """Return registers behind an index port, which gets its former value back."""
        former = self._port(index)
        found = [self._port(index, number) for number in numbers]
        self._human(f"o /b {index:#x} {former:#x}")
        return found

    def _port(self, port: int, index: int | None = None) -> int:
        said = self._human(f"i /b {port:#x}" + ("" if index is None else f".{index:#x}"))
        found = PORT.search(said)
        if found is None:
            raise BootError(f"QEMU's monitor does not read port {port:#x}: {said!r}")
        return int(found[1], 16)

    def _human(self, command: str) -> str:
        return self._monitor.human(command, self._deadline, self._alive)

    def _ask(self, command: str, arguments: object) -> None:
        self._monitor.ask(command, arguments, self._deadline, self._alive)
