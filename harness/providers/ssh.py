"""Provider `ssh`: a machine that already runs; we leave it as we found it."""

import logging
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import paramiko

from harness import clocks
from harness.deadline import Deadline
from harness.errors import NotRunError
from harness.machine.places import NAME
from harness.model import Guest
from harness.model.guest import Remote
from harness.providers.openssh import (
    Address,
    KnownKeys,
    Openssh,
    OpensshError,
    parse_host_key,
)
from harness.providers.workshop import Workshop
from harness.transport import SshLogin, SshTransport
from harness.transport.certificate import objection
from harness.transport.keys import key_text
from harness.transport.login import is_certified
from harness.transport.shell import TEMPORARY

logger = logging.getLogger(__name__)

NOT_CHECKED = "not checked"

GUARD = "; ".join(
    (
        "umask 077",
        "trap '' HUP INT TERM PIPE",
        'mkdir "$@"',
        "echo begun",
        "cat > /dev/null",
        'rm -rf "$@"',
    )
)
"""Creates folders in the guest and removes them when its input ends. The input ends with the
connection, so the folders disappear even if this process is killed."""


class ExistingMachine:
    """A machine that its owner manages: we never start or stop it."""

    def __init__(self, workshop: Workshop, openssh: Openssh | None = None) -> None:
        self._workshop = workshop
        self._openssh = openssh or Openssh()

    def refusal(self, guest: Guest) -> str | None:
        """Return what prevents a login attempt, or None; this does not contact the machine."""
        if guest.ssh is None:
            return "its guest file has no `ssh` section"
        try:
            with self._login(guest.ssh):
                return None
        except OpensshError as exc:
            return str(exc)

    def download(self, guest: Guest) -> str | None:
        """Return None: nothing needs to be fetched."""
        return None

    @contextmanager
    def boot(self, guest: Guest, deadline: Deadline) -> Iterator[SshTransport]:
        """Log in and yield the connection; remove our files from the machine at the end."""
        if guest.ssh is None:
            raise NotRunError(f"{guest.name}: {self.refusal(guest)}", hint="add an `ssh` section")
        with ExitStack() as stack:
            try:
                # The ssh-agent may sign only while `_login` lasts.
                with self._login(guest.ssh) as login:
                    transport = self._connected(stack, guest, login, deadline)
            except OpensshError as exc:
                raise NotRunError(f"{guest.name}: {exc}", hint="docs/guests.md, `ssh`") from exc
            yield transport

    def _connected(
        self, stack: ExitStack, guest: Guest, login: SshLogin, deadline: Deadline
    ) -> SshTransport:
        """Log in, and make our folders for as long as the stack lasts."""
        token = secrets.token_hex(8)
        folders = tuple(f"{folder}/{NAME}-{token}" for folder in TEMPORARY)

        def connect() -> SshTransport:
            limit = deadline.within(clocks.REMOTE_LOGIN)
            facts = _provenance()
            made = SshTransport.log_in(login, limit, facts, folders=folders)
            facts["host_key"] = _checked(login, made.host_key)
            return stack.enter_context(closing(made))

        first = connect()
        if first.provenance["host_key"] == NOT_CHECKED:
            _warn(guest, login, first.host_key)
        stack.enter_context(first.guarded(["sh", "-c", GUARD, NAME, *folders]))
        # The guard keeps a session. A server with `MaxSessions 1` has no other one on this
        # connection, but gives one to the next connection.
        return first if first.roomy() else connect()

    @contextmanager
    def _login(self, remote: Remote) -> Iterator[SshLogin]:
        place = self._openssh.place(remote)
        if remote.host_key is not None:
            known = KnownKeys(keys=(parse_host_key(remote.host_key),))
        else:
            known = self._openssh.host_keys(place)
        with self._openssh.keys(remote, place) as keys:
            yield SshLogin(
                place.host,
                place.port,
                place.user,
                keys,
                known.keys,
                comes_up=False,
                remedy=f"does `ssh -p {place.port} {place.user}@{place.host}` work?",
                changed=_changed(remote, place),
                revoked=known.revoked,
                authorities=known.authorities,
                name=place.name,
            )


def _provenance() -> dict[str, str]:
    """Return what we know of a machine that we did not start."""
    return {
        "provider": "ssh",
        "accelerator": "unknown",
        "cpus": "unknown",
        "slow_factor": "1",
    }


def _checked(login: SshLogin, shown: paramiko.PKey) -> str:
    """Return why the host key is believed."""
    if is_certified(login, shown):
        return "certified"
    return "pinned" if login.host_keys else NOT_CHECKED


def _changed(remote: Remote, place: Address) -> str:
    new = f"if the machine was reinstalled, `ssh-keygen -R '{place.known_as}'` removes its old key"
    if remote.host_key is not None:
        new = "if the machine was reinstalled, write its new key into `ssh.host_key`"
    return f"{new}; if not, another machine answers at this address"


def _warn(guest: Guest, login: SshLogin, shown: paramiko.PKey) -> None:
    why = "is not in known_hosts"
    if login.authorities:
        flaw = objection(shown, login.authorities, login.name)
        why = f"is not certified as known_hosts demands ({flaw})"
    logger.warning(
        '%s: the host key of %s %s, so it is not checked; to pin it: `ssh: {host_key: "%s"}`',
        guest.name,
        login.where,
        why,
        key_text(shown),
    )
