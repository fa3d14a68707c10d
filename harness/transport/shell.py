"""What both transports share: the command line, the capped streams, the push through `cat`."""

import re
import secrets
import shlex
from collections.abc import Sequence
from typing import Protocol

from harness.errors import InfrastructureError, Phase, UsageError
from harness.protocols import Completed, Sink

CAP = 8 << 20
"""Bytes of standard output that somebody takes as they come; the rest is read and forgotten, so
that the command can end."""

KEPT = 64 << 10
"""Bytes kept of a stream that nobody takes: a few lines are expected, and every guest may send as
much as it likes at the same time."""

PUSH = "; ".join(
    (
        "umask 077",
        """trap 'rm -f "$2"' EXIT""",
        'cat > "$2" || exit 1',
        '[ $(wc -c < "$2") -eq "$3" ] || { echo "cut short" >&2; exit 1; }',
        'chmod "$4" "$2" && mv -f "$2" "$1"',
    )
)
"""Minimal guests have neither scp nor sftp. When a connection is lost `cat` sees an ordinary end of
file, hence the count before the rename."""


TEMPORARY = ("/tmp", "/var/tmp")  # nosec B108  # of the guest; what we make has a fresh name
"""The second for careful machines that mount the first noexec."""


PLAIN = re.compile(r"[ \"-\[\]-~]*")
"""Printable, without `!` and backslash."""

SPECIAL = re.compile(r"[^ -~]|[!'\\%]|^-")
"""What neither every login shell's single quotes nor printf's format leave as it is."""


class Runner(Protocol):
    """The `run` of a transport."""

    def __call__(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Completed:
        """Run `argv` as `Transport.run` says."""


class Capture:
    """One stream of a command: its first bytes go on, and whether there were more is noted."""

    def __init__(self, cap: int, sink: Sink) -> None:
        self._room = cap
        self._sink = sink
        self.truncated = False

    def add(self, chunk: bytes) -> None:
        """Hand on what there is room for."""
        taken = chunk[: self._room]
        self.truncated = self.truncated or len(taken) < len(chunk)
        self._room -= len(taken)
        if taken:
            self._sink(taken)


class Streams:
    """Both streams of one command, with what is kept of each; standard output may go elsewhere."""

    def __init__(self, into: Sink | None) -> None:
        self._out, self._err = bytearray(), bytearray()
        self.stdout = Capture(KEPT, self._out.extend) if into is None else Capture(CAP, into)
        self.stderr = Capture(KEPT, self._err.extend)

    def completed(self, status: int) -> Completed:
        """Make the result of the command once it ended."""
        truncated = self.stdout.truncated or self.stderr.truncated
        return Completed(status, bytes(self._out), bytes(self._err), truncated)


def script(argv: Sequence[str]) -> str:
    """Return the sh script that runs `argv`.

    `exit $?` keeps the shell from replacing itself by the command: so a command that a signal
    ends has status 128+n everywhere, where SSH would report no status at all (RFC 4254, 6.10).
    """
    if any("\0" in argument for argument in argv):
        raise UsageError("an argument of a command cannot contain a NUL byte")
    return f"{shlex.join(argv)}; exit $?"


def login_command(argv: Sequence[str]) -> str:
    """Return what an SSH server's login shell, whichever it is, hands on to sh unchanged.

    Inside single quotes csh replaces `!` and ends at a newline, fish reads some backslashes, and
    old shells are not clean for bytes above 127: what holds any of these goes as the argument of
    printf (POSIX: octal escapes), which sh undoes.
    """
    plain = script(argv)
    if PLAIN.fullmatch(plain):
        return f"sh -c {shlex.quote(plain)}"
    return f"""sh -c 'eval "$(printf "$0")"' '{SPECIAL.sub(_octal, plain)}'"""


def _octal(match: re.Match[str]) -> str:
    if match[0] == "%":
        return "%%"
    return "".join(f"\\{byte:03o}" for byte in match[0].encode(errors="surrogateescape"))


def push(run: Runner, content: bytes, path: str, mode: str, timeout: float) -> None:
    """Put `content` at `path` with `mode`, whole or not at all; raise `InfrastructureError`."""
    part = f"{path}.{secrets.token_hex(4)}.part"
    argv = ["sh", "-c", PUSH, "push", path, part, str(len(content)), mode]
    try:
        done = run(argv, stdin=content, timeout=timeout)
    except InfrastructureError as exc:
        exc.phase = Phase.PUSH
        raise
    if done.status != 0:
        said = done.complaint or f"status {done.status}"
        raise InfrastructureError(Phase.PUSH, f"cannot write {path} in the guest: {said}")
