"""Translates Vagrant's error messages into our errors, with the cause and a hint."""

import re
from collections.abc import Mapping

from msgspec import Struct

from harness.errors import BootError, HarnessError, ImageError
from harness.model import Box
from harness.model.box import CATALOGUE_ENDS
from harness.providers.fetch.history import last_check
from harness.text import plain

REPEATED = 600
"""Characters of the end of Vagrant's output in a message; the console log has all of it."""


class Meaning(Struct, frozen=True):
    """A known failure: what to tell the user, and whether its cause is the box."""

    sentence: str
    hint: str
    of_box: bool = False


KNOWN: Mapping[str, Meaning] = {
    r"No space left on device|ENOSPC|not enough (free )?space|disk is full": Meaning(
        "the disk is full", "free some space: `vagrant box prune` removes old boxes", of_box=True
    ),
    r"checksum of the (downloaded box did|requested file does) not match": Meaning(
        "the box is not the one that the guest file expects (its sha256 differs)",
        "do not use it; if its maker has published a new one, correct `sha256` in the guest file",
        of_box=True,
    ),
    r"could not be found or\s+could not be accessed": Meaning(
        "no catalogue has the box",
        f"HashiCorp's catalogue ends on {CATALOGUE_ENDS}: use QEMU (`--provider qemu`), or give "
        "the box's `url` in the guest file",
        of_box=True,
    ),
    r"box you're attempting to add has no available version|"
    r"could not be located|couldn't find any (version|provider)": Meaning(
        "the catalogue has no such version of the box",
        "set `version` in the guest file to one that the catalogue lists",
        of_box=True,
    ),
    r"box you're attempting to add doesn't support the provider|"
    r"box you attempted to add doesn't match the provider": Meaning(
        "the box does not support this Vagrant provider",
        "name a box for this provider under `vagrant.boxes` in the guest file",
        of_box=True,
    ),
    r"error occurred while downloading the remote file": Meaning(
        "the box could not be downloaded",
        "try again: Vagrant resumes an interrupted download",
        of_box=True,
    ),
    r"authentication methods failed|SSH authentication failed|Authentication failure": Meaning(
        "the guest refuses the SSH key",
        "set the user and the key in `vagrant.ssh` in the guest file",
    ),
    r"Timed out while waiting for the machine to boot": Meaning(
        "the guest did not answer in time", "`boot_timeout` in the guest file allows more time"
    ),
    r"private_key_path`? file must exist": Meaning(
        "the SSH key does not exist", "correct `vagrant.ssh.key` in the guest file"
    ),
    r"Failed to connect socket|Error while connecting to [Ll]ibvirt": Meaning(
        "libvirt's daemon does not answer", "start it: `systemctl start libvirtd`"
    ),
}
"""Pattern of a message to its meaning (templates/locales/en.yml of Vagrant and its plug-ins)."""

UNKNOWN_HINT = "the console log has Vagrant's whole output"


def failure(step: str, said: bytes, box: Box, why: str | None = None) -> HarnessError:
    """Return the error for a failed `vagrant STEP`; `why` is our own reason (time, interrupt)."""
    text = plain(said).strip()
    meaning = next((known for words, known in KNOWN.items() if _found(words, text)), None)
    tail = f": {text[-REPEATED:]}" if text else ""
    if why is not None and (meaning is None or meaning.of_box is False):
        hint = meaning.hint if meaning is not None else UNKNOWN_HINT
        more = f" ({meaning.sentence})" if meaning is not None else ""
        return BootError(f"vagrant {step}: {why}{more}", hint=hint, console=text)
    if meaning is None:
        return BootError(f"vagrant {step} failed{tail}", hint=UNKNOWN_HINT, console=text)
    if meaning.of_box:
        checked = f" (address {last_check(box)})" if box.made_by is None else ""
        return ImageError(f"box {box.box}: {meaning.sentence}{checked}{tail}", hint=meaning.hint)
    return BootError(f"vagrant {step}: {meaning.sentence}", hint=meaning.hint, console=text)


def _found(words: str, text: str) -> bool:
    return re.search(words, text, re.IGNORECASE | re.DOTALL) is not None
