"""SSH keys: makes them, reads them from files, converts them to the text of known_hosts."""

import base64
import io
import os
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from paramiko.pkey import UnknownKeyType

from harness.errors import NotRunError

PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


def generate_key() -> paramiko.PKey:
    """Return a new Ed25519 key that exists only in memory."""
    text = private_text(Ed25519PrivateKey.generate())
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text.decode()))


def make_key(path: Path) -> paramiko.PKey:
    """Make a key and write it to a file, because later logins to a kept guest need it."""
    text = private_text(Ed25519PrivateKey.generate())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    return read_key(path)


def read_key(path: Path) -> paramiko.PKey:
    """Return a private key of any kind from its file."""
    try:
        return paramiko.PKey.from_path(path)
    except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as exc:
        raise NotRunError(f"{path} is not a usable private key: {exc}") from exc


def private_text(key: PrivateKey) -> bytes:
    """Return a private key in OpenSSH's file format, without a passphrase."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_key(key: PrivateKey) -> paramiko.PKey:
    """Return the public key, which a client pins."""
    text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return parse_key(text.decode())


def key_text(key: paramiko.PKey) -> str:
    """Return the public part as `TYPE BASE64`."""
    return f"{key.get_name()} {key.get_base64()}"


def parse_key(text: str) -> paramiko.PKey:
    """Read `TYPE BASE64`, with or without a comment; raise `ValueError` for anything else."""
    kind, encoded, *_ = [*text.split(), "", ""]
    try:
        return paramiko.PKey.from_type_string(kind, base64.b64decode(encoded))
    except UnknownKeyType as exc:
        raise ValueError(f"unknown type of key: {kind!r}") from exc
    except (ValueError, paramiko.SSHException) as exc:
        raise ValueError(f"not a key: {exc}") from exc
