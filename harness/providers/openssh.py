"""What the user's ~/.ssh says of a machine: its address, who logs in with what, its host key."""

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko
import paramiko.agent
import paramiko.hostkeys
import paramiko.pkey
from msgspec import Struct

from harness.model.guest import Remote
from harness.transport.keys import parse_key

logger = logging.getLogger(__name__)

UNUSABLE = (
    paramiko.SSHException,
    paramiko.pkey.UnknownKeyType,
    OSError,
    ValueError,
)
"""What reading a key raises."""

UNREADABLE = (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ValueError, OSError)
"""What reading a config raises."""

USER, PORT = "root", 22

KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""What ssh(1) tries by itself, of the kinds that paramiko knows, best first."""

KEYS = 5
"""So many are offered: sshd hangs up after six tries (sshd_config(5), MaxAuthTries)."""

BLOCK = re.compile(r"\s*(host|match)\b", re.IGNORECASE)
COMMAND = re.compile(r"\s*match\b.*\bexec\b", re.IGNORECASE)
"""Where a block of ssh_config(5) begins, and one that asks a command whether it holds."""

DETOURS = ("proxycommand", "proxyjump")

SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


class OpensshError(Exception):
    """What in ~/.ssh keeps us from a machine, in a sentence; translated by the provider."""


class Address(Struct, frozen=True):
    """Where a machine is, and under which name known_hosts has it."""

    host: str
    port: int
    user: str
    name: str
    identities: tuple[str, ...] = ()

    @property
    def known_as(self) -> str:
        """As known_hosts says it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
        return self.name if self.port == PORT else f"[{self.name}]:{self.port}"


class Openssh:
    """A folder like ~/.ssh, and the agent that the environment names."""

    def __init__(self, folder: Path = Path("~/.ssh")) -> None:
        self._folder = folder.expanduser()

    @property
    def known_hosts(self) -> Path:
        """Where host keys are remembered; only ever read."""
        return self._folder / "known_hosts"

    def place(self, remote: Remote) -> Address:
        """Return where to go: the guest file first, then `config`, then what ssh would take."""
        said = self._config(remote.host)
        for name in DETOURS:
            if said.get(name, "none").lower() != "none":
                raise OpensshError(
                    f"{self._folder / 'config'} reaches {remote.host} by {name}, which is not "
                    f"followed; let `ssh -N -L 2222:localhost:22 {remote.host}` run and say "
                    "`host: 127.0.0.1`, `port: 2222`"
                )
        host = str(said.get("hostname", remote.host))
        return Address(
            host=host,
            port=remote.port or int(said.get("port", PORT)),
            user=remote.user or str(said.get("user", USER)),
            name=str(said.get("hostkeyalias", host)),
            identities=tuple(said.get("identityfile", ())),
        )

    @contextmanager
    def keys(self, remote: Remote, place: Address) -> Iterator[tuple[paramiko.PKey, ...]]:
        """Yield what to log in with: the guest file's key, or what `ssh` itself would offer.

        The ssh-agent, which is asked only without a `key`, signs while the block runs.
        """
        if remote.key is not None:
            yield (read_key(Path(remote.key)),)
            return
        files = place.identities or tuple(str(self._folder / name) for name in KEY_NAMES)
        with _of_agent() as held:
            found = {key.fingerprint: key for key in (*_of_files(files), *held)}
            if not found:
                raise OpensshError(
                    "no key to log in with: `ssh` names no `key`, the ssh-agent has none, and "
                    f"none of {', '.join(files)} can be used"
                )
            yield tuple(found.values())[:KEYS]

    def host_key(self, place: Address) -> paramiko.PKey | None:
        """Return the machine's key as known_hosts has it, None if it is not there."""
        for path in (self.known_hosts, SYSTEM_KNOWN_HOSTS):
            known = _known(path, place.known_as)
            if known:
                return known.get("ssh-ed25519") or next(iter(known.values()))
        return None

    def _config(self, host: str) -> paramiko.config.SSHConfigDict:
        path = self._folder / "config"
        try:
            return paramiko.SSHConfig.from_text(_without_commands(path)).lookup(host)
        except FileNotFoundError:
            return paramiko.config.SSHConfigDict()
        except UNREADABLE as exc:
            raise OpensshError(f"{path} cannot be used: {exc}") from exc


def _without_commands(path: Path) -> str:
    """Read a config without its `Match exec` blocks: that command would read our own input."""
    kept, skipping = [], False
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if BLOCK.match(line):
            skipping = COMMAND.match(line) is not None
            if skipping:
                logger.info("%s:%d: `Match exec` is not followed", path, number)
        kept += [] if skipping else [line]
    return "\n".join(kept)


def read_key(path: Path) -> paramiko.PKey:
    """Read a private key; warn of what ssh would refuse, a file that others may read."""
    try:
        key = paramiko.PKey.from_path(str(path))
        others = path.stat().st_mode & 0o077
    except (paramiko.PasswordRequiredException, TypeError) as exc:  # TypeError: cryptography's
        raise OpensshError(_locked(path)) from exc
    except FileNotFoundError as exc:
        raise OpensshError(f"the key {path} is not there") from exc
    except UNUSABLE as exc:
        raise OpensshError(f"the key {path} cannot be used: {exc}") from exc
    if others:
        logger.warning("others may read the key %s; `chmod 600` keeps it to you", path)
    return key


def _locked(path: Path) -> str:
    return (
        f"the key {path} cannot be used: it has a passphrase; load it (`ssh-add {path}`) and leave "
        "`key` out, then the ssh-agent is asked"
    )


def parse_host_key(text: str) -> paramiko.PKey:
    """Read a guest file's `ssh.host_key`."""
    try:
        return parse_key(text)
    except ValueError as exc:
        raise OpensshError(f"`ssh.host_key` is no host key: {exc}") from exc


def _of_files(files: Sequence[str]) -> Iterator[paramiko.PKey]:
    """Yield those that are there and have no passphrase; the ssh-agent may have the others."""
    for name in files:
        path = Path(os.path.expanduser(name))  # a home that is nobody's stays as it is written
        if os.path.isfile(path):
            try:
                yield read_key(path)
            except OpensshError as exc:
                logger.info("%s", exc)


@contextmanager
def _of_agent() -> Iterator[tuple[paramiko.PKey, ...]]:
    """Yield the keys of the ssh-agent; none if there is none, or it does not answer."""
    if not _answers(os.environ.get("SSH_AUTH_SOCK")):
        yield ()
        return
    agent = paramiko.agent.Agent()
    try:
        yield tuple(agent.get_keys())
    finally:
        agent.close()


def _answers(path: str | None) -> bool:
    """Whether somebody listens: paramiko's client forgets to close what it cannot connect."""
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError as exc:
            logger.info("the ssh-agent at %s does not answer: %s", path, exc)
            return False
    return True


def _known(path: Path, name: str) -> Mapping[str, paramiko.PKey] | None:
    keys = paramiko.HostKeys()
    try:
        keys.load(str(path))
    except FileNotFoundError:
        return None
    except (paramiko.hostkeys.InvalidHostKey, OSError) as exc:
        raise OpensshError(f"{path} cannot be read: {exc}") from exc
    return keys.lookup(name)
