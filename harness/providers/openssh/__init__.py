"""Reads ~/.ssh as ssh(1) does: where a machine is, its host keys, and the keys to log in with."""

from harness.providers.openssh.errors import OpensshError
from harness.providers.openssh.identities import read_key
from harness.providers.openssh.known_hosts import KnownKeys
from harness.providers.openssh.user_folder import Address, Openssh, parse_host_key

__all__ = ["Address", "KnownKeys", "Openssh", "OpensshError", "parse_host_key", "read_key"]
