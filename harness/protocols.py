"""The two seams and the listener to progress: all fakes in the tests are one of these."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from harness.deadline import Deadline
from harness.errors import Phase
from harness.model import Guest, Trial

COMPLAINT = 500
"""Bytes of what a command complained of that a sentence repeats; a guest may complain at length,
and every cell that is left keeps the sentence."""

Sink = Callable[[bytes], object]
"""Takes what a command says, piece by piece as it comes."""


class Completed(Struct, frozen=True):
    """A command that ended in the guest. Both streams are capped; `truncated` says if they were.

    A command that does not exist has status 127 (POSIX sh, 2.8.2), whatever the transport.
    """

    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False

    @property
    def complaint(self) -> str:
        """The end of what it complained of."""
        return self.stderr[-COMPLAINT:].decode(errors="replace").strip()


class Transport(Protocol):
    """A live guest: run a command in it, put a file into it."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """How the guest was made: provider, accelerator, cpus, sha256 of its images."""

    @property
    def folders(self) -> Sequence[str]:
        """Where in the guest a program of ours may be put, best first."""

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

        `timeout` is for all of it, `silence` for each time in which nothing is said, in seconds.
        Standard output goes to `into`, if there is one, instead of the result: of that much more
        is read, and who takes it has what was said also where this raises.
        """

    def push(self, content: bytes, path: str, *, executable: bool = False, timeout: float) -> None:
        """Put `content` at `path` in the guest, whole or not at all."""

    def close(self) -> None:
        """End the connection, from any thread; a `run` that waits raises `GuestLostError`."""


class Provider(Protocol):
    """Makes a guest live, and takes it away when the context ends, however it ends."""

    def refusal(self, guest: Guest) -> str | None:
        """Why this provider cannot start the guest on this machine; None if it can."""

    def download(self, guest: Guest) -> str | None:
        """What starting it here would have to download first (an image, a box); None if nothing.

        Packages that the system's own package manager fetches and verifies do not count.
        """

    def boot(self, guest: Guest, deadline: Deadline) -> AbstractContextManager[Transport]:
        """Start the guest and yield it ready for commands; raise `BootError` and its kin."""


class Progress(Protocol):
    """Who is told what a run does; called from several threads."""

    def phase(self, guest: str, phase: Phase, detail: str = "") -> None:
        """Report that a guest entered a phase."""

    def trial(self, trial: Trial, done: int, total: int) -> None:
        """Report that a cell of a guest came to an end, `done` of `total` so far."""
