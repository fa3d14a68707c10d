"""Provider `ssh`: a machine that is already there, and stays as it was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import paramiko.pkey

from harness.deadline import Deadline
from harness.errors import BootError
from harness.model import Guest, Ssh
from harness.providers.workshop import Workshop
from harness.transport import SshTransport

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 30.0
"""Nothing boots here: a machine that does not answer by then is off."""

UNUSABLE = (
    paramiko.SSHException,
    paramiko.pkey.UnknownKeyType,
    OSError,
    ValueError,
    TypeError,  # cryptography's, for a passphrase that was not given
)
"""What reading a key file raises."""

KNOWN_HOSTS = Path("~/.ssh/known_hosts")


class ExistingMachine:
    """A machine that somebody else takes care of."""

    def __init__(self, workshop: Workshop, known_hosts: Path = KNOWN_HOSTS) -> None:
        self._workshop = workshop
        self._known_hosts = known_hosts.expanduser()

    def refusal(self, guest: Guest) -> str | None:
        """Say what the guest file lacks; whether the machine is on shows when it is needed."""
        if guest.ssh is None:
            return "its file does not say `ssh`"
        if guest.ssh.key is None:
            return "`ssh` names no `key`"
        if not Path(guest.ssh.key).is_file():
            return f"the key {guest.ssh.key} is not there"
        return None

    def download(self, guest: Guest) -> str | None:
        """Nothing: the machine is there."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[SshTransport]:
        """Log in; leave nothing behind."""
        if guest.ssh is None:
            raise BootError(f"{guest.name} has no `ssh`")
        ssh = guest.ssh
        transport = SshTransport.connect(
            ssh.host,
            ssh.port,
            ssh.user,
            _key(ssh),
            self._host_key(ssh),
            deadline.within(CONNECT_SECONDS),
            {"provider": "ssh", "accelerator": "unknown", "slow_factor": "1"},
        )
        try:
            yield transport
        finally:
            transport.close()

    def _host_key(self, ssh: Ssh) -> paramiko.PKey | None:
        name = ssh.host if ssh.port == 22 else f"[{ssh.host}]:{ssh.port}"
        keys = paramiko.HostKeys()
        if self._known_hosts.is_file():
            keys.load(str(self._known_hosts))
        known = keys.lookup(name)
        if not known:
            logger.warning("%s is not in %s: its host key is not checked", name, self._known_hosts)
            return None
        return known.get("ssh-ed25519") or next(iter(known.values()))


def _key(ssh: Ssh) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(str(ssh.key))
    except UNUSABLE as exc:
        raise BootError(
            f"the key {ssh.key} cannot be used: {exc}",
            hint="it has to be a private key without a passphrase",
        ) from exc
