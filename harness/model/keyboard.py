"""The keys that a console step can press: what a serial line carries, and QEMU's key names.

The key names are QKeyCode's (QEMU, qapi/ui.json); characters are on a US keyboard, which every
system assumes until it is told otherwise.
"""

import string
from collections.abc import Mapping

from msgspec import Struct


class Key(Struct, frozen=True):
    """One key press: its bytes on a serial line, and the names of the keys held together."""

    serial: bytes
    codes: tuple[str, ...]


KEYS: Mapping[str, Key] = {
    "enter": Key(b"\r", ("ret",)),
    "esc": Key(b"\x1b", ("esc",)),
    "tab": Key(b"\t", ("tab",)),
    "space": Key(b" ", ("spc",)),
    "backspace": Key(b"\x7f", ("backspace",)),
    "up": Key(b"\x1b[A", ("up",)),
    "down": Key(b"\x1b[B", ("down",)),
    "right": Key(b"\x1b[C", ("right",)),
    "left": Key(b"\x1b[D", ("left",)),
}
"""Keys that no character names; arrows are a VT100's."""

PUNCTUATION = {
    "minus": "-_",
    "equal": "=+",
    "bracket_left": "[{",
    "bracket_right": "]}",
    "semicolon": ";:",
    "apostrophe": "'\"",
    "grave_accent": "`~",
    "backslash": "\\|",
    "comma": ",<",
    "dot": ".>",
    "slash": "/?",
    **{digit: digit + above for digit, above in zip("1234567890", "!@#$%^&*()", strict=True)},
    **{letter: letter + letter.upper() for letter in string.ascii_lowercase},
}
"""QEMU's name of a key, and its character without and with Shift."""

CHARACTERS: Mapping[str, Key] = {
    char: Key(char.encode(), ("shift", code) if shifted else (code,))
    for code, chars in PUNCTUATION.items()
    for shifted, char in enumerate(chars)
} | {" ": KEYS["space"]}

CONTROLS: Mapping[str, Key] = {
    f"ctrl-{letter}": Key(bytes([ord(letter) & 0x1F]), ("ctrl", letter))
    for letter in string.ascii_lowercase
}


def key_of(name: str) -> Key | None:
    """Return the key of a name, such as `enter`, `ctrl-d` or one character; None if unknown."""
    return KEYS.get(name) or CONTROLS.get(name) or CHARACTERS.get(name)
