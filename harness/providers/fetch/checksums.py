"""Vendors' lists of checksums: which one is said of a file, in either of the usual formats."""

import re

from msgspec import Struct

from harness.errors import ImageError

BSD = re.compile(r"SHA(?:256|512)\s*\((?P<name>[^)]+)\)\s*=\s*(?P<digest>[0-9a-fA-F]+)\s*")
"""`SHA256 (FILE) = DIGEST`, as sha256(1) of the BSDs prints it."""

GNU = re.compile(r"(?P<digest>[0-9a-fA-F]+)\s+\*?(?P<name>\S.*?)\s*")
"""`DIGEST  FILE`, as sha256sum(1) prints it; `*` means binary."""

ALGORITHMS = {64: "sha256", 128: "sha512"}
"""By the number of digits. MD5 and SHA-1 are no protection, and not taken."""


class Expected(Struct, frozen=True):
    """What a file has to be, and who says so."""

    algorithm: str
    digest: str
    source: str


def find(text: str, path: str, source: str) -> Expected:
    """Return what a list says of the file at `path` of an address; raise `ImageError`.

    A list names files by themselves or with folders; of several of the same name the one whose
    folders fit is meant, and of sha256 and sha512 the longer one.
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
            raise ImageError(f"{source} says different things of {base}")
    raise ImageError(
        f"{source} has no sha256 or sha512 of {base}",
        hint="the address may lead to another release than its list, or an older one was removed",
    )


def _entry(line: str) -> tuple[str, str] | None:
    match = BSD.fullmatch(line.strip()) or GNU.fullmatch(line.strip())
    if match is None or len(match["digest"]) not in ALGORITHMS:
        return None
    return match["name"].removeprefix("./").lstrip("/"), match["digest"].lower()
