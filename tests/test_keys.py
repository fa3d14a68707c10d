"""SSH keys as text and in files."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.transport import generate_key
from harness.transport.keys import key_text, make_key, parse_key, private_text, public_key, read_key


def test_a_key_is_the_same_after_it_was_written_and_read() -> None:
    key = generate_key()
    text = key_text(key)
    assert text.startswith("ssh-ed25519 AAAA")
    for written in (text, f"{text} a comment", f" {text}\n"):
        assert parse_key(written).asbytes() == key.asbytes()


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 %%%", "ssh-rsa AAAA", "x A" * 9])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(not a key|unknown type of key): "):
        parse_key(text)


def test_the_public_part_belongs_to_the_private_one(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    path = tmp_path / "key"
    path.write_bytes(private_text(private))
    assert read_key(path).asbytes() == public_key(private).asbytes()
    made = make_key(tmp_path / "made")
    assert read_key(tmp_path / "made").asbytes() == made.asbytes() != read_key(path).asbytes()
