"""Shared by both transports: the command line, the capped streams, the push through `cat`."""

import re
import secrets
import shlex
from collections.abc import Sequence
from typing import Protocol

from harness.errors import InfrastructureError, Phase, UsageError
from harness.protocols import Completed, Sink

CAP = 8 << 20
"""The most bytes of standard output that a sink gets. The rest is read and dropped, so that the
command can end."""

KEPT = 64 << 10
"""The most bytes kept of a stream without a sink. A few lines are expected, and all guests may send
as much as they like at the same time."""

PUSH = "; ".join(
    (
        "umask 077",
        """trap 'rm -f "$2"' EXIT""",
        'cat > "$2" || exit 1',
        '[ $(wc -c < "$2") -eq "$3" ] || { echo "cut short" >&2; exit 1; }',
        'chmod "$4" "$2" && mv -f "$2" "$1"',
    )
)
"""Writes a file with `cat`, because minimal guests have neither scp nor sftp. If the connection is
lost, `cat` sees a normal end of file, so the size is checked before the rename."""


TEMPORARY = ("/tmp", "/var/tmp")  # nosec B108  # in the guest; our files have random names
"""The second is for machines that mount the first with noexec."""


PLAIN = re.compile(r"[ \"-\[\]-~]*")
"""Printable ASCII without `!` and backslash."""

SPECIAL = re.compile(r"[^ -~]|[!'\\%]|^-")
"""Characters that some login shell changes inside single quotes, or printf in its format."""


class Runner(Protocol):
    """The `run` of a transport."""

    def __call__(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Completed:
        """Run `argv`; see `Transport.run`."""


class Capture:
    """One stream of a command: passes its first bytes on, and notes if there were more."""

    def __init__(self, cap: int, sink: Sink) -> None:
        self._room = cap
        self._sink = sink
        self.truncated = False

    def add(self, chunk: bytes) -> None:
        """Pass on as much as there is room for."""
        taken = chunk[: self._room]
        self.truncated = self.truncated or len(taken) < len(chunk)
        self._room -= len(taken)
        if taken:
            self._sink(taken)


class Streams:
    """Both streams of one command. Standard output goes to `into` if that is given."""

    def __init__(self, into: Sink | None) -> None:
        self._out, self._err = bytearray(), bytearray()
        self.stdout = Capture(KEPT, self._out.extend) if into is None else Capture(CAP, into)
        self.stderr = Capture(KEPT, self._err.extend)

    def completed(self, status: int) -> Completed:
        """Return the result of the command after it has ended."""
        truncated = self.stdout.truncated or self.stderr.truncated
        return Completed(status, bytes(self._out), bytes(self._err), truncated)


def script(argv: Sequence[str]) -> str:
    """Return the sh script that runs `argv`.

    `exit $?` keeps the shell from replacing itself with the command. So a command that a signal
    ends has status 128+n with every transport; SSH would report no status (RFC 4254, 6.10).
    """
    return f"{checked(argv)}; exit $?"


def checked(argv: Sequence[str]) -> str:
    """Return `argv` as a command of sh; raise `UsageError` if no command can be like this."""
    if any("\0" in argument for argument in argv):
        raise UsageError("an argument of a command cannot contain a NUL byte")
    return shlex.join(argv)


def login_command(argv: Sequence[str]) -> str:
    """Return a command line that any login shell passes on to sh, which runs `argv`."""
    return quoted(script(argv))


def quoted(plain: str) -> str:
    """Return a command line that any login shell passes on to sh unchanged; `plain` is for sh.

    Inside single quotes, csh replaces `!` and stops at a newline, fish interprets some backslashes,
    and old shells change bytes above 127. A command with any of these is written with octal
    escapes, which sh decodes with printf (POSIX).
    """
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
