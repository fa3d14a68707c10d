"""The user's ~/.ssh for one machine: its address, the keys to offer, the host keys to expect."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import paramiko
from msgspec import Struct

from harness.model.guest import Remote
from harness.providers.openssh import config, known_hosts
from harness.providers.openssh.errors import OpensshError
from harness.providers.openssh.identities import Sources, held, read_keys
from harness.providers.openssh.known_hosts import KnownKeys
from harness.transport.keys import parse_key

USER, PORT = "root", 22

KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Default key files of ssh(1), of the types that paramiko supports, best first."""

KEYS = 5
"""Keys to offer at most. Each one that is refused counts as a failed login, and a machine may lock
us out for many (fail2ban's default is 5)."""

DETOURS = ("proxycommand", "proxyjump")

USER_FILES = ("known_hosts", "known_hosts2")
SYSTEM_FILES = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
"""Where ssh(1) looks for host keys (ssh_config(5), UserKnownHostsFile, GlobalKnownHostsFile)."""

VARIABLE = re.compile(r"\$\{(\w+)\}")


class Address(Struct, frozen=True):
    """Where a machine is, and its `name` in known_hosts, which never has a port if it is `alias`.

    `settings` is what ~/.ssh/config says of the machine.
    """

    host: str
    port: int
    user: str
    name: str
    alias: bool = False
    settings: Mapping[str, object] = {}

    @property
    def known_as(self) -> str:
        """The host as known_hosts writes it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
        plain = self.alias or self.port == PORT
        return self.name if plain else f"[{self.name}]:{self.port}"

    @property
    def identities(self) -> tuple[str, ...]:
        """The files of IdentityFile, in order."""
        files = self.settings.get("identityfile", ())
        return tuple(str(one) for one in files) if isinstance(files, (list, tuple)) else ()

    def setting(self, name: str, default: str) -> str:
        """Return a setting as text."""
        return str(self.settings.get(name, default))


class Openssh:
    """A folder like ~/.ssh, and the ssh-agent of the environment (SSH_AUTH_SOCK)."""

    def __init__(self, folder: Path = Path("~/.ssh"), system: Path = config.SYSTEM) -> None:
        self._folder = folder.expanduser()
        self._system = system

    @property
    def known_hosts(self) -> Path:
        """The user's file of host keys; we never write it."""
        return self._folder / USER_FILES[0]

    def place(self, remote: Remote) -> Address:
        """Return the address: from the guest file, else from `config`, else ssh(1)'s defaults."""
        said = config.look_up(remote.host, self._folder, self._system)
        # `none` turns an option off (ssh_config(5)); paramiko may return None for it.
        for name in DETOURS:
            if (said.get(name) or "none").lower() != "none":
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
            alias="hostkeyalias" in said,
            settings=dict(said),
        )

    @contextmanager
    def keys(self, remote: Remote, place: Address) -> Iterator[tuple[paramiko.PKey, ...]]:
        """Yield the keys to log in with: the guest file's key, or those that `ssh` would offer.

        Without a `key` this also asks the ssh-agent, which then signs while the block runs.
        """
        if remote.key is not None:
            yield read_keys(Path(remote.key))
            return
        sources = self._sources(place)
        with held(sources) as found:
            if not found:
                agent = sources.agent or "none is named by SSH_AUTH_SOCK or IdentityAgent"
                raise OpensshError(
                    "no key to log in with: the guest file names no `ssh.key`, the ssh-agent "
                    f"({agent}) has no key for it, and none of these files is usable: "
                    f"{', '.join(sources.files)}"
                )
            yield found[:KEYS]

    def _sources(self, place: Address) -> Sources:
        files = place.identities or tuple(str(self._folder / name) for name in KEY_NAMES)
        named = place.setting("identityagent", "SSH_AUTH_SOCK")
        agent = os.environ.get("SSH_AUTH_SOCK") if named == "SSH_AUTH_SOCK" else expanded(named)
        return Sources(
            tuple(_filled(one) for one in files),
            None if named.lower() == "none" else agent or None,
            only=place.setting("identitiesonly", "no").lower() in ("yes", "true"),
        )

    def host_keys(self, place: Address) -> KnownKeys:
        """Return what known_hosts says of the machine's keys."""
        users = " ".join(f'"{self._folder / name}"' for name in USER_FILES)
        named = (
            place.setting("userknownhostsfile", users),
            place.setting("globalknownhostsfile", SYSTEM_FILES),
        )
        try:
            files = [one for text in named for one in config.words(text) if one.lower() != "none"]
        except ValueError as exc:
            message = f"expected a second quotation mark in a name of known_hosts files: {exc}"
            raise OpensshError(f"{self._folder / 'config'}: {message}") from exc
        return known_hosts.look_up(place.known_as, [Path(expanded(one)) for one in files])


def expanded(text: str) -> str:
    """Return a path of ssh_config(5) with `~`, `%d`, `${NAME}` and `$NAME` replaced."""
    name = text[1:]
    if text.startswith("$") and name.isidentifier():
        return os.environ.get(name, "")
    return os.path.expanduser(_filled(text.replace("%d", "~")))


def _filled(text: str) -> str:
    return VARIABLE.sub(lambda found: os.environ.get(found[1], ""), text)


def parse_host_key(text: str) -> paramiko.PKey:
    """Read a guest file's `ssh.host_key`."""
    try:
        return parse_key(text)
    except ValueError as exc:
        raise OpensshError(f"`ssh.host_key` is not a host key: {exc}") from exc
