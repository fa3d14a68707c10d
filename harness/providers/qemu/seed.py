"""The CD from which a vendor's image takes a key of ours at its first boot: cloud-init's NoCloud.

Two programs read it. cloud-init (cloudinit.readthedocs.io: "NoCloud", "Module reference") honours
all of it. FreeBSD's nuageinit(7) makes users with their keys since 14.1; what an older one does not
know it passes over: `ssh_keys`, so the host key may be the guest's own, and `runcmd`.
"""

import io
import json
import uuid
from pathlib import Path

import paramiko
import pycdlib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from harness.transport.keys import key_text, private_text, public_key

LABEL = "cidata"
"""In lower case, although ISO 9660 has none: nuageinit looks for /dev/iso9660/cidata."""

NAMES = {"/USERDATA.;1": "user-data", "/METADATA.;1": "meta-data"}
"""ISO 9660 allows no hyphen: the names are in Rock Ridge and Joliet."""

USER_DATA = """\
#cloud-config
users:
  - name: {user}
    groups: wheel
    shell: /bin/sh
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    doas: ["permit nopass {plain}"]
    ssh_authorized_keys:
      - {key}
disable_root: false
ssh_pwauth: false
ssh_keys:
  ed25519_private: |
{private}
  ed25519_public: {public}
"""
"""A user that exists is left as it is, and gets the key. Both make, or pass over, a missing group;
where there is no sudo or doas, its rule has no effect."""

ROOT_LOGIN = """\
ssh_authorized_keys:
  - {key}
runcmd:
  - "sed -i.orig 's/^#*PermitRootLogin.*/PermitRootLogin prohibit-password/' /etc/ssh/sshd_config"
  - "service sshd restart || service ssh restart"
"""
"""sshd_config(5) of FreeBSD forbids root. nuageinit wants each command as one string."""


class Seed(Struct, frozen=True):
    """A seed image, and the host key that a guest has if it takes all of it."""

    path: Path
    host_key: Ed25519PrivateKey


def make(path: Path, user: str, key: paramiko.PKey) -> Seed:
    """Write a seed that lets `key` log in as `user`, with a host key of its own."""
    host_key = Ed25519PrivateKey.generate()
    # Another instance at each boot: on a copy of a disk that was booted before, keys count anew.
    meta = json.dumps({"instance-id": f"reuseport-matrix-{uuid.uuid4().hex}"})
    files = {"user-data": user_data(user, key, host_key), "meta-data": f"{meta}\n"}
    image = pycdlib.PyCdlib()
    image.new(interchange_level=1, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    for short, name in NAMES.items():
        content = files[name].encode()
        image.add_fp(
            io.BytesIO(content),
            len(content),
            iso_path=short,
            rr_name=name,
            joliet_path=f"/{name}",
        )
    with path.open("wb") as file:
        image.write_fp(file)
    image.close()
    path.chmod(0o600)
    return Seed(path, host_key)


def user_data(user: str, key: paramiko.PKey, host_key: Ed25519PrivateKey) -> str:
    """Return the cloud-config; a literal block for the host key, which everybody can parse."""
    line, private = key_text(key), private_text(host_key).decode()
    text = USER_DATA.format(
        user=json.dumps(user),
        plain=json.dumps(user)[1:-1],
        key=line,
        private="\n".join(f"    {part}" for part in private.splitlines()),
        public=key_text(public_key(host_key)),
    )
    return text + (ROOT_LOGIN.format(key=line) if user == "root" else "")
