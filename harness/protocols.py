"""The interfaces `Transport`, `Provider` and `Progress`. Every fake in the tests is one of them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import Phase
from harness.model import Guest, Trial

COMPLAINT = 500
"""The most bytes of a command's error output that a message repeats. A guest may write a lot, and
the message is stored with every cell that is left."""

Sink = Callable[[bytes], object]
"""Takes the output of a command, piece by piece as it arrives."""


class Completed(Struct, frozen=True):
    """A command that ended in the guest. Both streams are capped; `truncated` if one was cut.

    A command that does not exist has status 127 (POSIX sh, 2.8.2), whatever the transport.
    """

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False

    @property
    def complaint(self) -> str:
        """The end of its error output."""
        return self.stderr[-COMPLAINT:].decode(errors="replace").strip()


class ServerRoot(Struct, frozen=True):
    """Where a guest has the packages of the servers that a run asks for.

    `path` is a folder for chroot(2); empty where nothing was put into the guest, and its servers
    are those that are installed in it. `suite` and `sha256` are Debian's suite and the sha256 of
    the list of packages. `missing` has each package that was asked for and is not there, with the
    reason.
    """

    path: str = ""
    suite: str = ""
    sha256: str = ""
    missing: Mapping[str, str] = MappingProxyType({})

    @property
    def provenance(self) -> Mapping[str, str]:
        """What a guest's provenance says of it."""
        return {"servers_suite": self.suite, "servers_sha256": self.sha256} if self.path else {}


NO_ROOT = ServerRoot()


class Transport(Protocol):
    """A live guest: run a command in it, put a file into it."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the guest was started: provider, accelerator, cpus, sha256 of its images."""

    @property
    def folders(self) -> Sequence[str]:
        """Folders in the guest where the harness may put a program, best first."""

    @property
    def server_root(self) -> ServerRoot:
        """Where the servers are that the run asks for."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        silence: float | None = None,
        into: Sink | None = None,
    ) -> Completed:
        """Run `argv`; raise `CommandTimeoutError` or `GuestLostError`.

        `timeout` limits the whole command, `silence` the time without any output; both in seconds.
        With `into`, standard output goes there and not into the result. The cap is then higher, and
        the caller has the output even if this raises.
        """

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        """Put `content` at `path` in the guest, whole or not at all."""

    def close(self) -> None:
        """End the connection, from any thread; a `run` that waits raises `GuestLostError`."""


class Provider(Protocol):
    """Starts a guest, and ends it when the context ends, also after an error."""

    def refusal(self, guest: Guest) -> str | None:
        """Why this provider cannot start the guest on this machine; None if it can."""

    def download(self, guest: Guest) -> str | None:
        """What must be downloaded before the guest can start here (an image, a box), or None.

        Packages that the system's own package manager downloads and verifies do not count.
        """

    def boot(self, guest: Guest, deadline: Deadline) -> AbstractContextManager[Transport]:
        """Start the guest and yield it, ready for commands.

        Raise `NotRunError` if this machine cannot start it, `InfrastructureError` if that fails.
        """


class Progress(Protocol):
    """Receives reports about what a run does; called from several threads."""

    def phase(self, guest: str, phase: Phase, detail: str = "") -> None:
        """Report that a guest entered a phase."""

    def trial(self, trial: Trial, done: int, total: int) -> None:
        """Report that a cell of a guest is settled, `done` of `total` so far."""
