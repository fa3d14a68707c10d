"""The addresses in a guest file, from which images and boxes are downloaded."""

from typing import NamedTuple

from harness.model import Box, Checked, Guest, Image
from harness.model.box import CATALOGUE_ENDS


class Address(NamedTuple):
    """An address (or a box's name) of a guest file, and when and how it was last checked.

    `provider` is `qemu`, or `vagrant` with the provider of Vagrant's. `key` is the address of a
    published private key. `verified` says what a download is compared with. `ends` is the day on
    which HashiCorp's catalogue ends, for a box of it (ISO 8601).
    """

    provider: str
    address: str
    key: str | None
    verified: str
    checked: Checked | None
    ends: str | None = None


def addresses(guest: Guest) -> list[Address]:
    """Return every address in a guest's file; a box that is made on this machine has none."""
    found = []
    if guest.qemu is not None and guest.qemu.image is not None:
        image = guest.qemu.image
        found.append(Address("qemu", image.url, image.key, _verified(image), image.checked))
    for name, box in ({} if guest.vagrant is None else guest.vagrant.boxes).items():
        if box.made_by is None:
            address = box.url or f"{box.box} {box.version or ''}".strip()
            ends = CATALOGUE_ENDS if box.in_catalogue else None
            one = Address(f"vagrant {name}", address, None, _verified(box), box.checked, ends)
            found.append(one)
    return found


def _verified(source: Image | Box) -> str:
    """Return what a download is compared with."""
    if isinstance(source, Image):
        if source.sha512 is not None:
            return "sha512 of the guest file"
        if source.checksums is not None:
            return source.checksums
    if source.sha256 is not None:
        return "sha256 of the guest file"
    return "its first download" if isinstance(source, Image) else "nothing"
