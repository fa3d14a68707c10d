"""Reads the user's ~/.ssh as ssh(1) does: a machine's address, user, keys and host key."""

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
"""Exceptions that reading a key raises."""

UNREADABLE = (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ValueError, OSError)
"""Exceptions that reading a config raises."""

USER, PORT = "root", 22

KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Default key files of ssh(1), of the types that paramiko supports, best first."""

KEYS = 5
"""Keys to offer at most: sshd hangs up after six tries (sshd_config(5), MaxAuthTries)."""

BLOCK = re.compile(r"\s*(host|match)\b", re.IGNORECASE)
COMMAND = re.compile(r"\s*match\b.*\bexec\b", re.IGNORECASE)
"""The first line of a block of ssh_config(5), and of one that runs a command (`exec`)."""

DETOURS = ("proxycommand", "proxyjump")

SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


class OpensshError(Exception):
    """A problem in ~/.ssh that prevents a login, in a sentence; the provider translates it."""


class Address(Struct, frozen=True):
    """Where a machine is, and its `name` in known_hosts."""

    host: str
    port: int
    user: str
    name: str
    identities: tuple[str, ...] = ()

    @property
    def known_as(self) -> str:
        """The host as known_hosts writes it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
        return self.name if self.port == PORT else f"[{self.name}]:{self.port}"


class Openssh:
    """A folder like ~/.ssh, and the ssh-agent of the environment (SSH_AUTH_SOCK)."""

    def __init__(self, folder: Path = Path("~/.ssh")) -> None:
        self._folder = folder.expanduser()

    @property
    def known_hosts(self) -> Path:
        """The user's file of host keys; we never write it."""
        return self._folder / "known_hosts"

    def place(self, remote: Remote) -> Address:
        """Return the address: from the guest file, else from `config`, else ssh(1)'s defaults."""
        said = self._config(remote.host)
        # `none` turns an option off (ssh_config(5)).
        for name in DETOURS:
            if said.get(name, "none").lower() != "none":
                raise OpensshError(
                    f"{self._folder / 'config'} reaches {remote.host} through {name}, which is not "
                    f"supported; run `ssh -N -L 2222:localhost:22 {remote.host}` beside this, and "
                    "set `host: 127.0.0.1`, `port: 2222` in the guest file"
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
        """Yield the keys to log in with: the guest file's key, or those that `ssh` would offer.

        Without a `key` this also asks the ssh-agent, which then signs while the block runs.
        """
        if remote.key is not None:
            yield (read_key(Path(remote.key)),)
            return
        files = place.identities or tuple(str(self._folder / name) for name in KEY_NAMES)
        with _of_agent() as held:
            found = {key.fingerprint: key for key in (*_of_files(files), *held)}
            if not found:
                raise OpensshError(
                    "no key to log in with: the guest file names no `ssh.key`, the ssh-agent has "
                    f"no keys, and none of these files is usable: {', '.join(files)}"
                )
            yield tuple(found.values())[:KEYS]

    def host_key(self, place: Address) -> paramiko.PKey | None:
        """Return the machine's key from known_hosts, None if it is not there."""
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
    """Read a config without its `Match exec` blocks: their commands would read our stdin."""
    kept, skipping = [], False
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if BLOCK.match(line):
            skipping = COMMAND.match(line) is not None
            if skipping:
                logger.info("%s:%d: ignoring a `Match exec` block: not supported", path, number)
        kept += [] if skipping else [line]
    return "\n".join(kept)


def read_key(path: Path) -> paramiko.PKey:
    """Read a private key; warn if others may read its file, which ssh would refuse."""
    try:
        key = paramiko.PKey.from_path(str(path))
        others = path.stat().st_mode & 0o077
    except (paramiko.PasswordRequiredException, TypeError) as exc:  # TypeError: cryptography's
        raise OpensshError(_locked(path)) from exc
    except FileNotFoundError as exc:
        raise OpensshError(f"the key {path} does not exist") from exc
    except UNUSABLE as exc:
        raise OpensshError(f"the key {path} cannot be used: {exc}") from exc
    if others:
        logger.warning("other users may read the key %s; `chmod 600` makes it private", path)
    return key


def _locked(path: Path) -> str:
    return (
        f"the key {path} cannot be used: it has a passphrase; load it into the ssh-agent "
        f"(`ssh-add {path}`) and remove `key` from the guest file"
    )


def parse_host_key(text: str) -> paramiko.PKey:
    """Read a guest file's `ssh.host_key`."""
    try:
        return parse_key(text)
    except ValueError as exc:
        raise OpensshError(f"`ssh.host_key` is not a host key: {exc}") from exc


def _of_files(files: Sequence[str]) -> Iterator[paramiko.PKey]:
    """Yield the keys that exist and have no passphrase; the ssh-agent may have the others."""
    for name in files:
        path = Path(os.path.expanduser(name))  # `~user` of an unknown user stays as written
        if os.path.isfile(path):
            try:
                yield read_key(path)
            except OpensshError as exc:
                logger.info("%s", exc)


@contextmanager
def _of_agent() -> Iterator[tuple[paramiko.PKey, ...]]:
    """Yield the ssh-agent's keys; nothing if no agent runs, or it does not answer."""
    if not _answers(os.environ.get("SSH_AUTH_SOCK")):
        yield ()
        return
    agent = paramiko.agent.Agent()
    try:
        yield tuple(agent.get_keys())
    finally:
        agent.close()


def _answers(path: str | None) -> bool:
    """Return whether the socket is served; paramiko leaks one that it cannot connect."""
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
