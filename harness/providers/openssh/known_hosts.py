"""Reads files of host keys (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): the keys of one host.

paramiko's `HostKeys` knows no markers and no patterns, and rejects a whole file for one bad line.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import paramiko
from msgspec import Struct

from harness.providers.openssh.errors import OpensshError
from harness.transport.keys import parse_key

logger = logging.getLogger(__name__)

AUTHORITY, REVOKED = "@cert-authority", "@revoked"


class KnownKeys(Struct, frozen=True):
    """What is known of one host: its keys, those that were revoked, and its authorities' keys."""

    keys: tuple[paramiko.PKey, ...] = ()
    revoked: tuple[paramiko.PKey, ...] = ()
    authorities: tuple[paramiko.PKey, ...] = ()


def look_up(name: str, files: Iterable[Path]) -> KnownKeys:
    """Return what the files say about a host; `name` is as in the files, such as `[host]:2222`.

    A file that does not exist says nothing. Of a line that cannot be read, a warning says so if it
    is about this host; any other line does not matter.
    """
    found: dict[str, dict[bytes, paramiko.PKey]] = {"": {}, REVOKED: {}, AUTHORITY: {}}
    for path in files:
        for number, line in enumerate(_lines(path), start=1):
            words = line.split()
            marker = words.pop(0) if line.lstrip().startswith("@") else ""
            if len(words) < 2 or words[0].startswith("#") or not _is_about(words[0], name):
                continue
            try:
                key = parse_key(" ".join(words[1:3]))
                found[marker][key.asbytes()] = key
            except (ValueError, KeyError) as exc:
                logger.warning("%s:%d: this line is not used: %s", path, number, exc)
    trusted = {blob: key for blob, key in found[AUTHORITY].items() if blob not in found[REVOKED]}
    return KnownKeys(*(tuple(keys.values()) for keys in (found[""], found[REVOKED], trusted)))


def _lines(path: Path) -> Sequence[str]:
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise OpensshError(f"{path} cannot be read: {exc.strerror or exc}") from exc


def _is_about(patterns: str, name: str) -> bool:
    """Return whether one pattern fits the name, and none that begins with `!` does."""
    fits = False
    for pattern in patterns.split(","):
        if pattern.startswith("!") and _fits(pattern[1:], name):
            return False
        fits = fits or _fits(pattern, name)
    return fits


def _fits(pattern: str, name: str) -> bool:
    """Return whether a pattern or a hashed name is that of the host; capitals do not matter."""
    if pattern.startswith("|"):
        try:
            return paramiko.HostKeys.hash_host(name.lower(), pattern) == pattern
        except (ValueError, IndexError, AssertionError):  # damaged: about nobody
            return False
    # Only `*` and `?` are special; a name like `[host]:2222` has brackets.
    text = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(text, name.lower()) is not None
