"""The keys to log in with: from files, and from an ssh-agent, in the order of ssh(1)."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko
import paramiko.agent
import paramiko.pkey
from msgspec import Struct

from harness.providers.openssh.errors import OpensshError
from harness.transport.keys import parse_key

logger = logging.getLogger(__name__)

UNUSABLE = (
    paramiko.SSHException,
    paramiko.pkey.UnknownKeyType,
    OSError,
    ValueError,
)
"""Exceptions that reading a key raises."""

ASKED_SECONDS = 5.0
"""How long an ssh-agent may take to list its keys. One that hangs has none."""

SIGNED_SECONDS = 60.0
"""How long it may take to sign. It may ask a person to confirm."""


BEGINNING = 4096
"""Bytes of a file that tell what it is."""


class Sources(Struct, frozen=True):
    """Where keys come from: files, and the socket of an ssh-agent (None: no agent).

    With `only`, the agent's keys count only if one of the files is their public part.
    """

    files: tuple[str, ...]
    agent: str | None
    only: bool = False


@contextmanager
def held(sources: Sources) -> Iterator[tuple[paramiko.PKey, ...]]:
    """Yield the keys, best first; the agent's keys sign only while the block runs.

    Keys that are named come before those that only the agent has, as with ssh(1).
    """
    with _of_agent(sources.agent) as of_agent:
        by_blob = {_blob(key): key for key in of_agent}
        found = dict(_named(sources.files, by_blob))
        if not sources.only:
            found |= {blob: key for blob, key in by_blob.items() if blob not in found}
        yield tuple(found.values())


def _named(
    files: Sequence[str], of_agent: Mapping[bytes, paramiko.PKey]
) -> Iterator[tuple[bytes, paramiko.PKey]]:
    """Yield the keys that files name. A locked file, or a public one, names a key of the agent."""
    for name in files:
        path = Path(os.path.expanduser(name))  # `~user` of an unknown user stays as written
        if os.path.isfile(path):
            try:
                keys = read_keys(path)
            except OpensshError as exc:
                logger.info("%s", exc)
            else:
                yield from ((_blob(key), key) for key in keys)
                continue
        for public in (path, Path(f"{path}.pub")):
            blob = _public(public)
            if blob in of_agent:
                yield blob, of_agent[blob]


def _public(path: Path) -> bytes:
    """Return the blob of a public key in a file; empty if there is none."""
    try:
        return _blob(parse_key(path.read_text(errors="replace")))
    except (OSError, ValueError):
        return b""


def _blob(key: paramiko.PKey) -> bytes:
    """Return what the server is shown: the key, or its certificate."""
    shown = getattr(key, "public_blob", None)
    return key.asbytes() if shown is None else bytes(shown.key_blob)


def read_keys(path: Path) -> tuple[paramiko.PKey, ...]:
    """Read a private key. One with a certificate beside it is offered without it, too, as by ssh.

    The certificate (`FILE-cert.pub`) may have expired, or the server may know only the key.
    """
    key = read_key(path)
    if getattr(key, "public_blob", None) is None:
        return (key,)
    plain = paramiko.PKey.from_path(str(path))
    plain.public_blob = None
    return key, plain


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
        raise OpensshError(f"the key {path} cannot be used: {_flaw(path, exc)}") from exc
    if others:
        logger.warning("other users may read the key %s; `chmod 600` makes it private", path)
    return key


def _flaw(path: Path, exc: Exception) -> str:
    """Return what is wrong with a file that should hold a private key, and what to do."""
    try:
        content = path.read_bytes()[:BEGINNING]
    except OSError:
        return str(exc)
    if not content.strip():
        return "the file is empty"
    if content.startswith(b"PuTTY-User-Key-File"):
        return f"it is in PuTTY's format; `puttygen {path} -O private-openssh -o NEW` converts it"
    if _public(path):
        return f"it is a public key; name the private one ({str(path).removesuffix('.pub')}?)"
    if isinstance(exc, paramiko.pkey.UnknownKeyType):
        return "only Ed25519, ECDSA and RSA keys are supported"
    return str(exc)


def _locked(path: Path) -> str:
    return (
        f"the key {path} cannot be used: it has a passphrase; load it into the ssh-agent "
        f"(`ssh-add {path}`) and remove `key` from the guest file"
    )


class _Agent(paramiko.agent.AgentSSH):
    """An ssh-agent at any socket; paramiko's own looks only at SSH_AUTH_SOCK, and waits for ever.

    The socket belongs to the caller.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        sock.settimeout(ASKED_SECONDS)
        self._connect(sock)  # type: ignore[attr-defined]  # the stubs lack it
        sock.settimeout(SIGNED_SECONDS)


@contextmanager
def _of_agent(path: str | None) -> Iterator[tuple[paramiko.PKey, ...]]:
    """Yield the ssh-agent's keys; nothing if no agent runs, or it does not answer."""
    if path is None:
        yield ()
        return
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.settimeout(ASKED_SECONDS)
            sock.connect(path)
            keys = _Agent(sock).get_keys()
        except UNUSABLE as exc:
            logger.info("the ssh-agent at %s does not answer: %s", path, exc)
            keys = ()
        yield tuple(key for key in keys if key.get_name())
