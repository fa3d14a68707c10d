"""A step of a guest file's `qemu.console`: a console that is typed on."""

from typing import Literal

from msgspec import Struct

PLACEHOLDERS = ("public_key", "host_key")
"""What a step's `send` may contain in braces: the line of authorized_keys that lets the harness in,
and the private host key in OpenSSH's format, which has several lines."""


class ConsoleStep(Struct, frozen=True, forbid_unknown_fields=True):
    """What to wait for on a console, and what to type then: `send` (with Enter), or `keys`.

    `wait` is text, `match` a regular expression; exactly one of them is set. `secret` text is not
    echoed by the guest, and is kept out of the log. `timeout` is seconds on a fast host.
    """

    wait: str | None = None
    match: str | None = None
    on: Literal["serial", "screen"] = "serial"
    send: str | None = None
    keys: tuple[str, ...] = ()
    secret: bool = False
    timeout: float = 60.0
