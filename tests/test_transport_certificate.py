"""A host certificate counts if a known authority made it for this host, and for today."""

import time
from collections.abc import Callable

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
)

from harness.transport.certificate import objection
from harness.transport.keys import public_key

HOST, CA = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

Change = Callable[[SSHCertificateBuilder], SSHCertificateBuilder]


def certified(
    change: Change = lambda one: one,
    kind: SSHCertificateType = SSHCertificateType.HOST,
    names: tuple[str, ...] = ("lab", "*.example"),
    days: tuple[float, float] = (-1, 1),
    signer: Ed25519PrivateKey = CA,
) -> paramiko.PKey:
    """Return a host's key with a certificate, as paramiko has it after the key exchange."""
    now = time.time()
    made = SSHCertificateBuilder().public_key(HOST.public_key()).serial(1).type(kind)
    made = made.valid_principals([name.encode() for name in names]).key_id(b"a host")
    made = made.valid_after(int(now + days[0] * 86400)).valid_before(int(now + days[1] * 86400))
    text = change(made).sign(signer).public_bytes().decode()
    key = public_key(HOST)
    key.load_certificate(text)
    return key


@pytest.mark.parametrize("name", ["lab", "LAB", "mac.example"])
def test_a_certificate_for_the_host_is_enough(name: str) -> None:
    assert objection(certified(), (public_key(HOST), public_key(CA)), name) is None


FLAWS = [
    (certified(signer=Ed25519PrivateKey.generate()), "authority that is not in known_hosts"),
    (certified(kind=SSHCertificateType.USER), "not for a host"),
    (certified(names=("other",)), "is for other, not for lab"),
    (certified(days=(-2, -1)), "not valid today"),
    (certified(days=(1, 2)), "not valid today"),
    (certified(lambda one: one.add_critical_option(b"x", b"")), "critical options"),
    (public_key(HOST), "shows no certificate"),
]


@pytest.mark.parametrize(("key", "said"), FLAWS)
def test_a_certificate_with_a_flaw_is_none(key: paramiko.PKey, said: str) -> None:
    assert said in (objection(key, (public_key(CA),), "lab") or "")


def test_a_damaged_certificate_is_none() -> None:
    key = certified()
    blob = key.public_blob
    assert blob is not None
    for content in (blob.key_blob[:-3] + b"xxx", blob.key_blob[:100], b""):
        blob.key_blob = content
        assert "cannot be read or is not signed" in (objection(key, (public_key(CA),), "lab") or "")
