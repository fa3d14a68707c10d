"""What accounts answer that cannot run `sh`, and the advice that follows from it."""

import time
from collections.abc import Sequence

import paramiko
import pytest
from ssh_server import serving

from harness.deadline import Deadline
from harness.errors import InfrastructureError
from harness.transport import SshTransport

ANSWERS: Sequence[tuple[str, str]] = (
    ("This account is currently not available.\n", "chsh -s /bin/sh root"),
    (
        "WARNING: Your password has expired.\nPassword change required but no TTY available.\n",
        "log in by hand once and set a new password",
    ),
    ("You are required to change your password immediately.\n", "set a new password"),
    ("'sh' is not recognized as an internal or external command,\r\n", "not a Unix shell"),
    ("This account is restricted by rssh.\nAllowed commands: scp\n", "a restricted one"),
    ("fatal: Interactive git shell is not enabled.\n", "a restricted one"),
    ("You've successfully authenticated, but we do not provide shell access.\n", "restricted"),
    ("This service allows sftp connections only.\n", "ForceCommand internal-sftp"),
    ("fish: Unknown command: sh\n", "put /bin into the PATH"),
    ("1) reboot\n2) status\n", "`command=` before the key in authorized_keys"),
    ("", "does `ssh -p"),
)
"""What OpenSSH, Windows, rssh, git-shell, fish and a menu print, and a part of the advice."""


@pytest.mark.parametrize(("answer", "advice"), ANSWERS)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_advice_fits_what_the_account_answers(stream: str, answer: str, advice: str) -> None:
    def execute(channel: paramiko.Channel, command: bytes) -> None:
        time.sleep(0.1)  # paramiko's server replies to `exec` only after it has called this
        send = channel.sendall if stream == "stdout" else channel.sendall_stderr
        send(answer.encode())
        channel.send_exit_status(1)
        channel.close()

    with serving(execute) as server:
        made = SshTransport.connect(
            "127.0.0.1", server.port, "root", server.user_key, server.host_key, Deadline(10), {}
        )
        with pytest.raises(InfrastructureError, match="root can log in at") as caught:
            made.run(["true"], timeout=10)
        made.close()
    assert answer.strip()[:9] in str(caught.value)
    assert advice in str(caught.value.hint)
