"""A guest in the hands of a test: run a command, put a file in, take one out, compile for it."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from harness import guests, leases
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
"""For a test's command, where the test says nothing else. It is scaled by the guest's slow-host
factor, as all of ours are."""

NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,200}")

INSIDE = 'cd "$0" && exec "$@"'


class CommandFailedError(AssertionError):
    """A command in the guest did not end with status 0; the message has what it said."""


class Ran(Struct, frozen=True):
    """A command that ended in the guest; both streams are text, what is no UTF-8 is replaced."""

    status: int
    stdout: str
    stderr: str


class LiveGuest:
    """A booted guest and a folder in it. Commands run in the folder; names are relative to it."""

    def __init__(self, guest: Guest, live: Visited, folder: str, places: Places) -> None:
        self._live = live
        self._places = places
        self._guest = guest
        self.folder = folder
        self._factor = float(live.provenance.get("slow_factor", "1"))

    @property
    def name(self) -> str:
        """The guest's name, such as `linux-6.1`."""
        return self._guest.name

    @property
    def system(self) -> str:
        """The system of its guest file, such as `Linux`."""
        return self._guest.system

    @property
    def provenance(self) -> Mapping[str, str]:
        """How it was made: provider, accelerator, sha256 of its images."""
        return self._live.provenance

    @property
    def release(self) -> str:
        """What `uname -r` says."""
        return self.run(["uname", "-r"]).stdout.strip()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | str = b"",
        timeout: float = COMMAND_SECONDS,
        check: bool = True,
    ) -> Ran:
        """Run a command to its end; `timeout` is in seconds on a machine that virtualises.

        With `check` a status that is not 0 raises `CommandFailedError`. A command that does not end
        in time, or a guest that is lost, raises the harness's own errors.
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
        """Put bytes, a text, or a file of this machine into the folder; return its path there."""
        if isinstance(content, Path):
            executable = executable or os.access(content, os.X_OK)
            name, data = name or content.name, content.read_bytes()
        else:
            data = content.encode() if isinstance(content, str) else content
        path = self._path(name)
        self._live.push(data, path, executable=executable, timeout=COMMAND_SECONDS * self._factor)
        return path

    def pull(self, name: str) -> bytes:
        """Return what a file in the folder holds."""
        done = self._run(["cat", self._path(name)], b"", COMMAND_SECONDS)
        if done.status != 0 or done.truncated:
            why = "it is too large" if done.truncated else done.stderr.decode(errors="replace")
            raise CommandFailedError(f"{self.name}: cannot read {name}: {why.strip()}")
        return done.stdout

    def build(self, *sources: Path, name: str | None = None, flags: Sequence[str] = ()) -> str:
        """Compile C here for the guest's system, with Zig, and put the program into the folder.

        Raise `AgentError` if it does not compile, `NotRunError` where there is no target.
        """
        agent = self._guest.agent
        if agent.build is not None or agent.path is not None:
            raise NotRunError(f"{self.name}: there is no compiler's target; build it in the guest")
        if not sources:
            raise UsageError("there is nothing to compile")
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
            raise UsageError(f"{name!r} is no name of a file: letters, digits and . _ - only")
        return f"{self.folder}/{name}"


def chosen(names: Sequence[str], folders: Sequence[str], provider: str | None) -> tuple[Guest, ...]:
    """Return the guests of these names; raise `UsageError` for a name that is none."""
    known = known_guests([Path(folder) for folder in folders])
    choices = Choices(Workshop(Places.of_user(), Path), provider)
    return tuple(guests.select(known, names, choices.startable))


class Booted(Struct, frozen=True):
    """A guest that is up, for as many tests as there are."""

    guest: Guest
    live: Visited
    places: Places

    @contextmanager
    def fresh(self) -> Iterator[LiveGuest]:
        """Yield the guest with an empty folder, removed afterwards."""
        with placed(self.live, "reuseport-test") as place:
            yield LiveGuest(self.guest, self.live, place.folder, self.places)


@contextmanager
def booted(guest: Guest, provider: str | None, *, cold: bool = False) -> Iterator[Booted]:
    """Start a guest, or take the one that was kept; raise what `exec` would say."""
    places = Places.of_user()
    leases.gc(places)
    if guest.host is not None:
        # In a network namespace of each command's own a server and its client would not meet.
        guest = replace(guest, host=replace(guest.host, isolate=False))
    with visited(guest, places, only=provider, keep=False, cold=cold) as live:
        yield Booted(guest, live, places)
