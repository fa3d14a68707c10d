"""A guest that a test can use: run commands, push and pull files, compile programs for it."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from harness import clocks, guests, leases
from harness.agent import Builder, placed
from harness.errors import NotRunError, UsageError
from harness.machine.places import Places
from harness.model import Guest
from harness.protocols import Completed
from harness.providers import Choices
from harness.providers.workshop import Workshop
from harness.run.names import known_guests
from harness.run.visit import Visited, visited

COMMAND_SECONDS = 60.0
"""The default limit of a test's command. It is scaled by the guest's slow-host factor, as all
limits are."""

NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,200}")

INSIDE = 'cd "$0" && exec "$@"'


class CommandFailedError(AssertionError):
    """A command in the guest failed; the message contains its status and output."""


class Ran(Struct, frozen=True):
    """A command that ended in the guest. Both streams are text; invalid UTF-8 is replaced."""

    status: int
    stdout: str
    stderr: str


class LiveGuest:
    """A booted guest and a folder in it. Commands run in the folder; file names are in it, too."""

    def __init__(self, guest: Guest, live: Visited, folder: str, places: Places) -> None:
        self._live = live
        self._places = places
        self._guest = guest
        self.folder = folder
        self._factor = clocks.slow_factor(live.provenance)

    @property
    def name(self) -> str:
        """The guest's name, such as `linux-6.1`."""
        return self._guest.name

    @property
    def system(self) -> str:
        """The system named in its guest file, such as `Linux`."""
        return self._guest.system

    @property
    def provenance(self) -> Mapping[str, str]:
        """How it was started: provider, accelerator, sha256 of its images."""
        return self._live.provenance

    @property
    def release(self) -> str:
        """The output of `uname -r`, or what a sandbox really is, which calls itself Linux."""
        return self.provenance.get("release") or self.run(["uname", "-r"]).stdout.strip()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | str = b"",
        timeout: float = COMMAND_SECONDS,
        check: bool = True,
    ) -> Ran:
        """Run a command to its end; `timeout` is seconds on a guest that is not emulated.

        With `check`, a status other than 0 raises `CommandFailedError`. A command that does not end
        in time raises `CommandTimeoutError`; a guest that is lost raises `GuestLostError`.
        """
        done = self._run(argv, stdin.encode() if isinstance(stdin, str) else stdin, timeout)
        ran = Ran(
            done.status, *(text.decode(errors="replace") for text in (done.stdout, done.stderr))
        )
        if check and ran.status != 0:
            said = (ran.stderr or ran.stdout).strip()
            raise CommandFailedError(f"{self.name}: {argv}: status {ran.status}: {said}")
        return ran

    def push(
        self, content: bytes | str | Path, name: str | None = None, *, executable: bool = False
    ) -> str:
        """Put bytes, text, or a file of this machine into the folder; return its path there."""
        if isinstance(content, Path):
            executable = executable or os.access(content, os.X_OK)
            name, data = name or content.name, content.read_bytes()
        else:
            data = content.encode() if isinstance(content, str) else content
        path = self._path(name)
        self._live.push(data, path, executable=executable, timeout=COMMAND_SECONDS * self._factor)
        return path

    def pull(self, name: str) -> bytes:
        """Return the content of a file in the folder; raise `CommandFailedError`."""
        done = self._run(["cat", self._path(name)], b"", COMMAND_SECONDS)
        if done.status != 0 or done.truncated:
            why = "it is too large" if done.truncated else done.stderr.decode(errors="replace")
            raise CommandFailedError(f"{self.name}: cannot read {name}: {why.strip()}")
        return done.stdout

    def build(self, *sources: Path, name: str | None = None, flags: Sequence[str] = ()) -> str:
        """Compile C on this machine for the guest's system, with Zig; push it into the folder.

        Raise `AgentError` if it does not compile, `NotRunError` if the guest file names no target.
        """
        agent = self._guest.agent
        if agent.build is not None or agent.path is not None:
            raise NotRunError(f"{self.name}: its guest file names no target; build in the guest")
        if not sources:
            raise UsageError("name at least one source file to compile")
        program = Builder(self._places).compiled(agent, sources, flags)
        return self.push(program, name or sources[0].stem, executable=True)

    def _run(self, argv: Sequence[str], stdin: bytes, timeout: float) -> Completed:
        command = ["sh", "-c", INSIDE, self.folder, *argv]
        said = bytearray()
        limit = timeout * self._factor
        done = self._live.run(command, stdin=stdin, timeout=limit, into=said.extend)
        return replace(done, stdout=bytes(said))

    def _path(self, name: str | None) -> str:
        if name is None or not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not a file name: use only letters, digits and . _ -")
        return f"{self.folder}/{name}"


def chosen(names: Sequence[str], folders: Sequence[str], provider: str | None) -> tuple[Guest, ...]:
    """Return the guests with these names; raise `UsageError` for an unknown name."""
    known = known_guests([Path(folder) for folder in folders])
    choices = Choices(Workshop(Places.of_user(), Path), provider)
    return tuple(guests.select(known, names, choices.startable))


class Booted(Struct, frozen=True):
    """A guest that is up and that several tests use, one after the other."""

    guest: Guest
    live: Visited
    places: Places

    @contextmanager
    def fresh(self) -> Iterator[LiveGuest]:
        """Yield the guest with an empty folder, which is removed afterwards."""
        with placed(self.live, "reuseport-test") as place:
            yield LiveGuest(self.guest, self.live, place.folder, self.places)


@contextmanager
def booted(guest: Guest, provider: str | None, *, cold: bool = False) -> Iterator[Booted]:
    """Start a guest, or use one that was kept; raise the errors that `exec` would print."""
    places = Places.of_user()
    leases.gc(places)
    if guest.host is not None:
        # With isolation each command gets its own network namespace, so that a client in one
        # command could not reach a server in another.
        guest = replace(guest, host=replace(guest.host, isolate=False))
    with visited(guest, places, only=provider, keep=False, cold=cold) as live:
        yield Booted(guest, live, places)
