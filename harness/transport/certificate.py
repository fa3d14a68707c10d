"""Checks a server's host certificate (PROTOCOL.certkeys of OpenSSH) against known authorities."""

import base64
import fnmatch
import time
from collections.abc import Sequence

import paramiko
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

KINDS = (
    *("ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
    *("ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com"),
    *("rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"),
)
"""The kinds of host certificate that paramiko can negotiate."""


def objection(shown: paramiko.PKey, authorities: Sequence[paramiko.PKey], name: str) -> str | None:
    """Return why the shown key is not certified for the host `name`; None if it is.

    paramiko has checked that the server has the private key, but not who signed the certificate.
    """
    blob = getattr(shown, "public_blob", None)
    if blob is None:
        return "the server shows no certificate"
    try:
        text = f"{blob.key_type} ".encode() + base64.b64encode(blob.key_blob)
        made = load_ssh_public_identity(text)
        if not isinstance(made, SSHCertificate):
            return "the server shows no certificate"
        made.verify_cert_signature()
        signer = made.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as exc:
        return f"its certificate cannot be read or is not signed: {exc!r}"
    return _flaw(made, signer, authorities, name)


def _flaw(
    made: SSHCertificate, signer: bytes, authorities: Sequence[paramiko.PKey], name: str
) -> str | None:
    known = [f"{key.get_name()} {key.get_base64()}".encode() for key in authorities]
    names = [one.decode(errors="replace").lower() for one in made.valid_principals]
    if signer not in known:
        return "its certificate is signed by an authority that is not in known_hosts"
    if made.type is not SSHCertificateType.HOST:
        return "its certificate is not for a host"
    if made.critical_options:
        return "its certificate has critical options, which a host's cannot have"
    if not made.valid_after <= time.time() < made.valid_before:
        return "its certificate is not valid today"
    if not any(fnmatch.fnmatchcase(name.lower(), one) for one in names):
        return f"its certificate is for {', '.join(names) or 'nobody'}, not for {name}"
    return None
