"""Builds the agent once per source and target, or uses the binary that the guest file names."""

import hashlib
import importlib.util
import io
import logging
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from harness import clocks
from harness.agent import elf
from harness.agent.binary import Program
from harness.agent.guest_cc import GuestCompiled
from harness.agent.installed import ERRORS, Agent, Source, installed
from harness.agent.user import remedy
from harness.deadline import Cancellation, Deadline
from harness.errors import AgentError, InfrastructureError, Phase
from harness.machine import guarded, seals
from harness.machine.architecture import machine
from harness.machine.lock import locked
from harness.machine.places import Places
from harness.machine.process import last_will
from harness.machine.resources import guests_folder
from harness.model import AgentSource, Guest
from harness.protocols import Transport
from harness.transport import LocalTransport

logger = logging.getLogger(__name__)

HOST = "host"
"""The target in a guest file that means the machine on which the harness runs."""

NATIVE = "native"
"""The target without Zig: this machine's own `cc` compiles."""

LIMIT = 64 << 20
"""Bytes of the largest agent; those that are built here have less than 1 MiB."""

SMALL = ("-Os", "-s", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
"""An emulated guest decrypts every byte of its agent. Nothing here unwinds a stack, and the tables
for that are a sixth of the program."""

FLAGS = ("-std=c99", "-D_DEFAULT_SOURCE", *SMALL)

UNNEEDED = "libpthread.so.1"
"""A library that is removed from the agent for NetBSD. Zig links the thread library before libc, so
accept() and others come from there, although libc has them, too. The agent has no threads, and a
minimal guest does not have this library."""

SYSTEMS = {"linux": "linux-musl", "darwin": "macos", "freebsd": "freebsd", "netbsd": "netbsd"}


BUILT = ("x86_64", "aarch64", "x86", "riscv64")
"""Machines for which Zig's target has just this name; on any other, `cc` compiles."""


def host_target() -> str:
    """Return the Zig target of this machine's kernel; `native` if Zig or a target is missing."""
    system = next((zig for name, zig in SYSTEMS.items() if sys.platform.startswith(name)), None)
    here = machine()
    if system is None or here not in BUILT or importlib.util.find_spec("ziglang") is None:
        return NATIVE
    return f"{here}-{system}"


class Builder:
    """Builds agents, caches them, and installs them in guests. Shared by all threads.

    The first build can take a minute; `cancellation` ends it.
    """

    def __init__(
        self,
        places: Places,
        sources: Path | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._places = places
        self._sources = sources or guests_folder() / "agent"
        self._cancellation = cancellation or Cancellation()

    @contextmanager
    def installed(self, guest: Guest, transport: Transport) -> Iterator[Agent]:
        """Yield the agent, installed in the guest; remove it afterwards.

        Raise `AgentError` if it cannot be built or is not for this guest.
        """
        if guest.agent.build == "guest-cc":
            source: Program | Source = GuestCompiled(guest, self.archive(), self._places)
        else:
            source = self.program(guest.agent)
        with installed(transport, source, guest.root) as agent:
            if agent.user.why is not None:
                why, what = agent.user.why, remedy(agent.user, guest.root)
                logger.warning(
                    "%s: cells that need root are left out: %s; %s", guest.name, why, what
                )
            yield agent

    def program(self, source: AgentSource) -> Program:
        """Return the agent for a guest file: the user's binary, or one built from source."""
        if source.path is not None:
            return self._given(Path(source.path))
        return self.build(_target(source))

    def compiled(
        self, source: AgentSource, files: Sequence[Path], flags: Sequence[str] = ()
    ) -> bytes:
        """Compile the user's own C files for the target of a guest's agent; nothing is cached."""
        command = (*_compiler(_target(source)), *flags)
        with TemporaryDirectory(dir=self._places.folder("agents")) as folder:
            made = Path(folder) / "program"
            zig = self._places.folder("zig")
            self._compile_alone(command, [path.absolute() for path in files], made, zig)
            return made.read_bytes()

    def build(self, target: str) -> Program:
        """Compile for `target`, or use the cached agent; of several processes only one compiles."""
        files = self._files()
        # Only the agent has its own start code (guests/agent/libc_start1.c), so `compiled` does not
        # set this.
        command = (*_compiler(target), *(("-DOWN_START",) if "-freebsd" in target else ()))
        # The name of the cached file depends on everything that decides its content.
        digest = hashlib.sha256(repr((command, _zig_version(target))).encode())
        for path in files:
            digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
        kept = self._places.folder("agents") / f"agent-{target}-{digest.hexdigest()[:32]}"
        if seals.unbroken(kept, self._places, afresh=True) is None:
            self._compile(command, [path for path in files if path.suffix == ".c"], kept)
        content = guarded.read(kept, LIMIT, inside=kept.parent)
        if "-netbsd" in target:
            content = elf.without(content, UNNEEDED)
        return Program(content, f"built for {target}", target)

    def archive(self) -> bytes:
        """Return the sources as a tar file; the same sources always give the same bytes."""
        memory = io.BytesIO()
        with tarfile.open(fileobj=memory, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path in self._files():
                entry = tarfile.TarInfo(path.name)
                entry.size = path.stat().st_size
                entry.mode = 0o600
                tar.addfile(entry, io.BytesIO(path.read_bytes()))
        return memory.getvalue()

    def _files(self) -> list[Path]:
        files = [path for path in self._sources.glob("*.[ch]") if path.is_file()]
        if not any(path.suffix == ".c" for path in files):
            raise AgentError(Phase.BUILD, f"the agent's sources are not in {self._sources}")
        return sorted(files)

    def _compile(self, command: Sequence[str], sources: Sequence[Path], kept: Path) -> None:
        deadline = Deadline(clocks.BUILD, self._cancellation)
        with locked(kept.with_name(f"{kept.name}.lock"), deadline) as ours:
            if not ours:
                raise AgentError(Phase.BUILD, f"another run still builds {kept.name}")
            if seals.unbroken(kept, self._places) is None:  # no other run has built it meanwhile
                self._compile_surely(command, sources, kept)
                seals.seal(kept, self._places)

    def _compile_surely(self, command: Sequence[str], sources: Sequence[Path], kept: Path) -> None:
        """Compile; if that fails, try once more with an empty cache.

        Zig does not check what is in its cache, so damage there would fail every build.
        """
        zig = self._places.folder("zig")
        used = any(zig.iterdir())
        try:
            self._compile_alone(command, sources, kept, zig)
        except AgentError:
            if not used:
                raise
            with TemporaryDirectory(dir=self._places.folder("scratch")) as empty:
                self._compile_alone(command, sources, kept, Path(empty))
            logger.warning("%s was damaged, and is made anew", zig)
            shutil.rmtree(zig, ignore_errors=True)

    def _compile_alone(
        self, command: Sequence[str], sources: Sequence[Path], kept: Path, zig: Path
    ) -> None:
        caches = (f"ZIG_GLOBAL_CACHE_DIR={zig}/global", f"ZIG_LOCAL_CACHE_DIR={zig}/local")
        with NamedTemporaryFile(dir=kept.parent, prefix=".building-", delete=False) as unfinished:
            made = Path(unfinished.name)
        try:
            argv = ["env", *caches, *last_will(child=False), *command]
            argv += ["-o", str(made), *map(str, sources)]
            here = LocalTransport(last_will())  # so that the shell, too, ends with this process
            with self._cancellation.hooked(here.close):
                done = here.run(argv, timeout=clocks.BUILD)
            if done.status != 0:
                said = done.stderr[-ERRORS:].decode(errors="replace").strip()
                names = " ".join(path.name for path in sources)
                raise AgentError(Phase.BUILD, f"{names} cannot be compiled: {said}")
            os.replace(made, kept)
        except InfrastructureError as exc:
            exc.phase = Phase.BUILD
            raise
        finally:
            made.unlink(missing_ok=True)

    def _given(self, path: Path) -> Program:
        try:
            content = guarded.read(path, LIMIT)
        except OSError as exc:
            raise AgentError(Phase.BUILD, f"the agent {path} cannot be read: {exc}") from exc
        return Program(content, str(path))


def _target(source: AgentSource) -> str:
    """Return the Zig target in a guest file, or that of this machine if it has none."""
    return host_target() if source.target in (None, HOST) else source.target


def _compiler(target: str) -> tuple[str, ...]:
    if target == NATIVE:
        return ("cc", *FLAGS)
    if importlib.util.find_spec("ziglang") is None:
        raise AgentError(
            Phase.BUILD,
            f"Zig is not installed: no agent for {target}",
            hint="pip install ziglang",
        )
    static = ("-static",) if target.endswith("musl") else ()
    return (sys.executable, "-m", "ziglang", "cc", "-target", target, *static, *FLAGS)


def _zig_version(target: str) -> str:
    return "" if target == NATIVE else metadata.version("ziglang")
