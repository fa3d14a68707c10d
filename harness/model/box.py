"""Vagrant boxes, and who has checked that an address leads to the expected file."""

from msgspec import Struct

CATALOGUE_ENDS = "2026-12-31"
"""The day on which HashiCorp's catalogue of boxes ends (hashicorp/vagrant, issue 13836)."""


class Checked(Struct, frozen=True, forbid_unknown_fields=True):
    """When (ISO 8601) and how a person checked that an address leads to the expected file."""

    on: str
    how: str


class Box(Struct, frozen=True, forbid_unknown_fields=True):
    """A Vagrant box: from Vagrant's catalogue by name, from a URL, or made on this machine.

    `made_by` is the command that makes the box and adds it to Vagrant.
    """

    box: str
    version: str | None = None
    url: str | None = None
    sha256: str | None = None
    made_by: str | None = None
    checked: Checked | None = None
    unchecked: bool = False

    @property
    def in_catalogue(self) -> bool:
        """Whether Vagrant asks HashiCorp's catalogue for it (`USER/NAME`, without an address)."""
        return self.url is None and self.made_by is None and self.box.count("/") == 1
