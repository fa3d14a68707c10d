"""A server that people run, as data: how it starts, how it restarts, what it answers."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

SERVER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""Names of servers and of their ways; the agent takes the same (docs/wire.md)."""

FIRST_SYSTEM = "Linux"
"""The system that a server file is about, unless `on` says more."""

Protocol = Literal["http", "tcp", "dns-udp", "dns-tcp"]

Traffic = Literal["light", "heavy"]
"""A stream of 20 % or of 80 % of what the server can serve."""


class On(Struct, frozen=True, forbid_unknown_fields=True):
    """What differs on another system; `values` are merged over those of the server.

    `unchecked`: nobody has run the server with these on that system yet. `unsupported`: why it
    cannot run there.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] | None = None
    start: str | None = None
    unchecked: bool = False
    unsupported: str = ""


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """A server and its ways to restart. `title` is a sentence without its full stop.

    `files` are written into a folder of the server's own, `start` is a line for `sh` that stays in
    the foreground, unless there is a `pid` file. Each of the `ways` is a list of steps
    (`harness.servers.steps`), as is `stop`. `{port}`, `{folder}`, `{workers}`, `{generation}`,
    `{agent}`, and the names of `values`, are replaced in all of them. A TCP server is sent
    `request`, and its answer has to begin with `answer`; for the other protocols the agent knows
    both.

    `packages` are Debian's names; `programs` have to be in the guest's PATH. `ready` is how long
    the first answer may take, in seconds on a fast host. `pid` is the pid file of a server that
    leaves the foreground. `needs` are lines for `sh` that have to end with 0, each with the reason
    why the server cannot be asked if it does not. With `once`, a connection serves one request.
    `traffic` are the loads that a full run asks it at; a quick one asks at the heavy load.
    """

    name: str
    title: str
    protocol: Protocol
    start: str
    ways: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str] = field(default_factory=dict)
    stop: tuple[str, ...] = ("signal TERM main",)
    values: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    workers: int = 4
    ready: float = 10.0
    root: bool = False
    pid: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    traffic: Annotated[tuple[Traffic, ...], Meta(min_length=1)] = ("light", "heavy")
    request: str = ""
    answer: str = ""
    on: Mapping[str, On] = field(default_factory=dict)
    source: str = ""

    @property
    def not_on(self) -> Mapping[str, str]:
        """Why it cannot run on some systems, and which these are."""
        found: dict[str, list[str]] = {}
        for name, on in self.on.items():
            if on.unsupported:
                found.setdefault(on.unsupported, []).append(name)
        return {why: ", ".join(names) for why, names in found.items()}

    def known_on(self, system: str) -> bool:
        """Return whether its file says how it runs on this system."""
        return system == FIRST_SYSTEM or system in self.on
