"""Says why an account that can log in cannot run commands, and what to change."""

import re
from collections.abc import Sequence

import paramiko

from harness.errors import InfrastructureError, Phase
from harness.protocols import COMPLAINT

CAUSES: Sequence[tuple[str, str]] = (
    (
        r"not (currently )?available|nologin",
        "give the account a login shell (as root there: `chsh -s /bin/sh {user}`), or set another "
        "`user` in the guest file",
    ),
    (
        r"password (has |is )?expired|change your password|password change required",
        "log in by hand once and set a new password, or set another `user` in the guest file",
    ),
    (
        r"is not recognized as|\bcmd\.exe\b|powershell",
        "the login shell is not a Unix shell; this program needs `sh` on the machine",
    ),
    (
        r"sftp|connections only",
        "sshd gives this account only sftp (`ForceCommand internal-sftp` in its sshd_config); "
        "set another `user` in the guest file",
    ),
    (
        r"\brestricted\b|not allowed|unrecognized command|shell access|shell is not enabled",
        "its login shell is a restricted one; give the account an ordinary shell (as root there: "
        "`chsh -s /bin/sh {user}`), or set another `user` in the guest file",
    ),
    (
        r"not found|no such file|unknown command",
        "its login shell does not find `sh`; put /bin into the PATH that the shell sets, or give "
        "the account an ordinary shell (as root there: `chsh -s /bin/sh {user}`)",
    ),
)
"""What comes instead of a command's output (in any case), and what to do. The first that fits."""

FORCED = (
    "does `ssh -p {port} {user}@{host} echo works` print `works`? If not: a forced command "
    "(`command=` before the key in authorized_keys, `ForceCommand` in sshd_config), or a start-up "
    "file of the login shell that ends it, reads its input or starts another shell; remove it, or "
    "set another `user` in the guest file"
)

SILENT = "nothing (a shell such as /bin/false, or a start-up file that redirects the output?)"


def unusable(connection: paramiko.Transport, said: bytes, ended: str) -> InfrastructureError:
    """Return the error for an account in which `sh` did not run; `said` is what came instead.

    `ended` says how: "ends with status 1", or "does not end".
    """
    host, port = connection.getpeername()[:2]
    user = connection.get_username() or "this user"
    text = said[-COMPLAINT:].decode(errors="replace").strip()
    advice = next((hint for cause, hint in CAUSES if re.search(cause, text, re.IGNORECASE)), FORCED)
    return InfrastructureError(
        Phase.CONNECT,
        f"{user} can log in at {host} port {port}, but cannot run `sh` there: the account answers "
        f"{repr(text) if text else SILENT} and {ended}",
        hint=advice.format(user=user, host=host, port=port),
    )
