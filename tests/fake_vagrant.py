#!/usr/bin/env python3
"""A fake Vagrant for tests of how Vagrant fails; its messages are those of Vagrant 2.3.4.

FAKE_VAGRANT chooses how `up` ends, FAKE_SSH the port and key that `ssh-config` prints. Each call is
appended to the file `asked` beside this one.
"""

import os
import signal
import sys
import time
from pathlib import Path

MODE = os.environ.get("FAKE_VAGRANT", "ok")

FAILURES = {
    "no-box": "The box 'example/none' could not be found or\n"
    "could not be accessed in the remote catalog. If this is a private\n"
    "box on HashiCorp's Vagrant Cloud, please verify you're logged in via\n`vagrant login`.",
    "no-version": "The box you're attempting to add has no available version that\n"
    "matches the constraints you requested.",
    "other-provider": "The box you're attempting to add doesn't support the provider\n"
    "you requested.",
    "checksum": "The checksum of the downloaded box did not match the expected\nvalue.",
    "cut-off": "An error occurred while downloading the remote file. The error\n"
    "message, if any, is reproduced below.\n\ntransfer closed with 17 bytes remaining to read",
    "disk-full": "bsdtar: Write failed: No space left on device",
    "refused-key": "SSH authentication failed! This is typically caused by the public/private\n"
    "keypair for the SSH user not being properly set on the guest VM.",
    "timeout": "Timed out while waiting for the machine to boot. This means that\n"
    "Vagrant was unable to communicate with the guest machine within\n"
    'the configured ("config.vm.boot_timeout" value) time period.',
    "strange": "Something that nobody foresaw \x1b[2J",
}

SSH_CONFIG = """Host {name}
  HostName 127.0.0.1
  User root
  Port {port}
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  IdentityFile {key}
"""


def up() -> int:
    sys.stdout.write("Bringing machine up with the provider...\n")
    sys.stdout.flush()
    if MODE == "hang":
        signal.signal(signal.SIGINT, lambda *_: sys.exit("cleaned up"))
        while True:
            time.sleep(1)
    if MODE in FAILURES:
        sys.stderr.write(f"{FAILURES[MODE]}\n")
        return 1
    return 0


def main(words: list[str]) -> int:
    with Path(__file__).with_name("asked").open("a") as log:
        log.write(" ".join(words) + "\n")
    if words == ["--version"]:
        sys.stdout.write("Vagrant 2.3.4\n")
    elif words[0] == "plugin":
        sys.stdout.write(os.environ.get("FAKE_PLUGINS", ""))
    elif words[:2] == ["snapshot", "list"]:
        sys.stdout.write(
            "==> g: \none\n    g: You can take a snapshot using `vagrant snapshot save`.\n"
        )
    elif words[0] == "up":
        return up()
    elif words[0] == "ssh-config":
        port, _, key = os.environ["FAKE_SSH"].partition(" ")
        sys.stdout.write(SSH_CONFIG.format(name=words[1], port=port, key=key))
    return 1 if f"{words[0]}-fails" == MODE else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
