"""Makes the disk that gives a vendor's image our login key at its first boot: cloud-init's NoCloud.

Two programs read it. cloud-init (cloudinit.readthedocs.io: "NoCloud", "Module reference") supports
all of it. FreeBSD's nuageinit(7) creates users with their keys since 14.1, and knows `ssh_keys`,
`runcmd` and `write_files` since 14.4 and 15.0. An older one ignores what it does not know, so the
guest then makes its own host key.
"""

import io
import json
import uuid
from pathlib import Path

import paramiko
import pycdlib
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
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
  ecdsa_private: |
{older}
  ecdsa_public: {older_public}
"""
"""An existing user is not changed, except that it gets the key. A missing group is created or
ignored, by both programs. Without sudo or doas, its rule has no effect. cloud-init before 0.7.7
knows no ed25519 and still removes the image's own host keys, so there is an ecdsa key, too."""

ROOT_LOGIN = """\
ssh_authorized_keys:
  - {key}
runcmd:
  - "if grep -q '^PermitRootLogin no' /etc/ssh/sshd_config; then {allow}; {restart}; fi"
"""

ALLOW = "sed -i.orig 's/^PermitRootLogin no/PermitRootLogin without-password/' /etc/ssh/sshd_config"
"""OpenSSH before 7.0 does not know the newer name, `prohibit-password`; all know this one."""

RESTART = "service sshd restart || service ssh restart"

FREEBSD = """\
write_files:
  - path: /etc/rc.conf.d/firstboot_freebsd_update
    content: |
      firstboot_freebsd_update_enable="NO"
  - path: /etc/rc.conf.d/firstboot_pkg_upgrade
    content: |
      firstboot_pkg_upgrade_enable="NO"
"""
"""At its first boot the image looks for updates, in vain without a way out. rc(8) has read rc.conf
by the time that nuageinit runs, but reads a file of rc.conf.d when it starts that script."""

FREEBSD_ROOT = """\
  - path: /etc/ssh/sshd_config
    append: true
    content: |
      PermitRootLogin prohibit-password
"""
"""FreeBSD's sshd refuses root by default. nuageinit writes this before sshd starts."""


class HostKeys(Struct, frozen=True):
    """The host keys that a seed offers. A guest shows the first one that it could take."""

    ed25519: Ed25519PrivateKey
    ecdsa: EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> "HostKeys":
        """Return two new keys."""
        return cls(Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()))

    @property
    def public(self) -> tuple[paramiko.PKey, ...]:
        """The public keys, which a client pins."""
        return public_key(self.ed25519), public_key(self.ecdsa)


class Seed(Struct, frozen=True):
    """A seed image, and the host keys that it offers the guest."""

    path: Path
    host_keys: HostKeys


def make(path: Path, system: str, user: str, key: paramiko.PKey) -> Seed:
    """Write a seed that lets `key` log in as `user`, and offers new host keys.

    `system` is the guest's, as its guest file names it.
    """
    host_keys = HostKeys.generate()
    # A new instance id at each boot makes the keys apply again on a disk that was booted before.
    meta = json.dumps({"instance-id": f"reuseport-matrix-{uuid.uuid4().hex}"})
    files = {"user-data": user_data(system, user, key, host_keys), "meta-data": f"{meta}\n"}
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
    return Seed(path, host_keys)


def user_data(system: str, user: str, key: paramiko.PKey, host_keys: HostKeys) -> str:
    """Return the cloud-config; a private key is a literal block, which both programs can parse."""
    line = key_text(key)
    ed25519, ecdsa = map(key_text, host_keys.public)
    text = USER_DATA.format(
        user=json.dumps(user),
        plain=json.dumps(user)[1:-1],
        key=line,
        private=_block(private_text(host_keys.ed25519)),
        public=ed25519,
        older=_block(private_text(host_keys.ecdsa)),
        older_public=ecdsa,
    )
    if system == "FreeBSD":
        return text + FREEBSD + (FREEBSD_ROOT if user == "root" else "")
    if user == "root":
        text += ROOT_LOGIN.format(key=line, allow=ALLOW, restart=RESTART)
    return text


def _block(pem: bytes) -> str:
    return "\n".join(f"    {part}" for part in pem.decode().splitlines())
