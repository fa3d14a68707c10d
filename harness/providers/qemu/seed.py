"""Makes the CD that gives a vendor's image our login key at its first boot: cloud-init's NoCloud.

Two programs read it. cloud-init (cloudinit.readthedocs.io: "NoCloud", "Module reference") supports
all of it. FreeBSD's nuageinit(7) creates users with their keys since 14.1. An older one ignores
what it does not support: `runcmd`, and `ssh_keys`, so the guest may make its own host key.
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
"""In lower case, against ISO 9660, as nuageinit looks for /dev/iso9660/cidata."""

NAMES = {"/USERDATA.;1": "user-data", "/METADATA.;1": "meta-data"}
"""ISO 9660 name to real name: ISO 9660 allows no hyphen, Rock Ridge and Joliet do."""

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
"""An existing user is not changed, except that it gets the key. A missing group is created or
ignored, by both programs. Without sudo or doas, its rule has no effect."""

ROOT_LOGIN = """\
ssh_authorized_keys:
  - {key}
runcmd:
  - "sed -i.orig 's/^#*PermitRootLogin.*/PermitRootLogin prohibit-password/' /etc/ssh/sshd_config"
  - "service sshd restart || service ssh restart"
"""
"""FreeBSD's sshd refuses root by default. nuageinit needs each command as one string."""


class Seed(Struct, frozen=True):
    """A seed image, and the host key that it offers the guest."""

    path: Path
    host_key: Ed25519PrivateKey


def make(path: Path, user: str, key: paramiko.PKey) -> Seed:
    """Write a seed that lets `key` log in as `user`, and offers a new host key."""
    host_key = Ed25519PrivateKey.generate()
    # A new instance id at each boot makes the keys apply again on a disk that was booted before.
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
    """Return the cloud-config; the host key is a literal block, which both programs can parse."""
    line, private = key_text(key), private_text(host_key).decode()
    text = USER_DATA.format(
        user=json.dumps(user),
        plain=json.dumps(user)[1:-1],
        key=line,
        private="\n".join(f"    {part}" for part in private.splitlines()),
        public=key_text(public_key(host_key)),
    )
    return text + (ROOT_LOGIN.format(key=line) if user == "root" else "")
