"""Finds a file's checksum in a vendor's list, in either of the two usual formats."""

import re

from msgspec import Struct

from harness.errors import ImageError

BSD = re.compile(r"SHA(?:256|512)\s*\((?P<name>[^)]+)\)\s*=\s*(?P<digest>[0-9a-fA-F]+)\s*")
"""`SHA256 (FILE) = DIGEST`, as sha256(1) of the BSDs prints it."""

GNU = re.compile(r"(?P<digest>[0-9a-fA-F]+)\s+\*?(?P<name>\S.*?)\s*")
"""`DIGEST  FILE`, as sha256sum(1) prints it; `*` means binary."""

ALGORITHMS = {64: "sha256", 128: "sha512"}
"""Number of hex digits to algorithm. MD5 and SHA-1 do not protect, so they are not accepted."""


class Expected(Struct, frozen=True):
    """The checksum that a file must have, and `source`, where it is published."""

    algorithm: str
    digest: str
    source: str


def find(text: str, path: str, source: str) -> Expected:
    """Return the checksum that a list gives for the file at `path` of an address.

    A list may name files with or without folders. If several have the same name, take the one
    with matching folders; if it has a sha256 and a sha512, take the sha512. Raise `ImageError` if
    the list has no checksum for the file, or several different ones.
    """
    said = [entry for line in text.splitlines() if (entry := _entry(line))]
    base = path.rpartition("/")[2]
    named = [(name, value) for name, value in said if name.rpartition("/")[2] == base]
    fitting = [(name, value) for name, value in named if f"/{path}".endswith(f"/{name}")]
    values = {value for _, value in fitting or named}
    for algorithm in ("sha512", "sha256"):
        found = {value for value in values if ALGORITHMS[len(value)] == algorithm}
        if len(found) == 1:
            return Expected(algorithm, found.pop(), source)
        if found:
            raise ImageError(f"{source} has different checksums for {base}")
    raise ImageError(
        f"{source} has no sha256 or sha512 for {base}",
        hint="the address and the list may be of different releases, or an old one was removed",
    )


def _entry(line: str) -> tuple[str, str] | None:
    match = BSD.fullmatch(line.strip()) or GNU.fullmatch(line.strip())
    if match is None or len(match["digest"]) not in ALGORITHMS:
        return None
    return match["name"].removeprefix("./").lstrip("/"), match["digest"].lower()
