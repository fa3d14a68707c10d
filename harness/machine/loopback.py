"""Tests whether this machine has a working loopback interface; a new network namespace has none."""

import socket

ADDRESS = "127.0.0.1"

SECONDS = 2.0
"""Limit for a connection to ourselves, which takes no time."""

REMEDY = "`ip link set lo up`, as root, starts it on Linux"


def failure() -> str | None:
    """Return why a connection to our own address fails, None if it works."""
    try:
        with (
            socket.create_server((ADDRESS, 0)) as server,
            socket.create_connection(server.getsockname(), SECONDS),
        ):
            return None
    except OSError as exc:
        return f"this machine's loopback interface does not work: {exc.strerror or exc}"
