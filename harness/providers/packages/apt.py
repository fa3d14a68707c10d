"""Asks apt for one suite of one Debian archive, with a private state apart from the machine's.

apt verifies everything: the Release file's signature against the keyring, the index's sha256
against the Release file, the package's sha256 against the index (apt-secure(8)).
"""

import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from harness.deadline import Deadline
from harness.machine.process import ToolTimeoutError, execute, last_will

logger = logging.getLogger(__name__)

INDEX_SECONDS = 24 * 3600
"""An index is fetched at most once a day."""

KEYRINGS = tuple(
    Path("/usr/share/keyrings", f"debian-archive-keyring.{ending}") for ending in ("pgp", "gpg")
)

CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::State "{folder}";
Dir::State::lists "lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
"""
"""Overrides of the machine's own apt configuration, which still applies otherwise (a proxy,
`Acquire::Check-Valid-Until`). The machine's hooks would change its own state, and its pins do not
concern us. Only the owner can open our folders, so apt's sandbox user could not: root replaces it.
"""


class AptError(Exception):
    """apt's error message; `debian` translates it."""


class Source(Struct, frozen=True):
    """An archive's address, and the keys that must sign it (a path, or the key itself).

    Without `signed_by` apt accepts any key that the machine trusts for all archives.
    """

    site: str
    signed_by: str | None


class Package(Struct, frozen=True):
    """A package as the index describes it."""

    name: str
    version: str
    sha256: str
    depends: tuple[str, ...]


class Suite(Struct, frozen=True):
    """An archive's suite; `folder` is its private state. `debian` holds a lock while it is used."""

    name: str
    source: Source
    folder: Path

    def refresh(self, deadline: Deadline) -> None:
        """Fetch the index, unless the one that we have is less than a day old."""
        stamp = self.folder / "stamp"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < INDEX_SECONDS:
            return
        self._lay_out()
        logger.info("apt-get update of %s", self.name)
        self._apt(["apt-get", "-q", "update"], deadline)
        stamp.touch()

    def show(self, names: Iterable[str], deadline: Deadline) -> tuple[Package, ...]:
        """Return the newest version of each of these packages that the index has."""
        argv = ["apt-cache", "-q", "show", "--no-all-versions", *names]
        try:
            return parse_packages(self._apt(argv, deadline))
        except AptError as exc:
            if "No packages found" in str(exc):
                return ()
            raise

    def download(self, packages: Sequence[Package], into: Path, deadline: Deadline) -> None:
        """Fetch these packages, verified, into a folder."""
        names = [f"{package.name}={package.version}" for package in packages]
        self._apt(["apt-get", "-q", "download", *names], deadline, into)

    def download_closure(self, names: Sequence[str], into: Path, deadline: Deadline) -> None:
        """Fetch packages and all their dependencies, as on a machine with nothing installed."""
        (into / "partial").mkdir()
        options = [
            "-o",
            f"Dir::Cache::archives={into}",
            "--no-install-recommends",
            "--download-only",
        ]
        self._apt(["apt-get", "-q", "-y", *options, "install", *names], deadline)

    def uninstallable(
        self, names: Sequence[str], base: Sequence[str], deadline: Deadline
    ) -> Mapping[str, str]:
        """Return which of these packages cannot be installed with those of `base`, and why."""
        try:
            self._simulate((*base, *names), deadline)
        except AptError:
            found = {}
            for name in names:
                try:
                    self._simulate((*base, name), deadline)
                except AptError as exc:
                    found[name] = str(exc)
            return found
        return {}

    def _simulate(self, names: Sequence[str], deadline: Deadline) -> None:
        self._apt(["apt-get", "-q", "-s", "--no-install-recommends", "install", *names], deadline)

    def _lay_out(self) -> None:
        for part in ("lists/partial", "archives/partial", "sources"):
            (self.folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "status").touch()
        _write(self.folder / "apt.conf", CONFIGURATION.format(folder=self.folder))
        lines = ["Types: deb", f"URIs: {self.source.site}", f"Suites: {self.name}"]
        lines += ["Components: main", "Architectures: amd64", "Targets: Packages"]
        if self.source.signed_by is not None:
            lines.append(f"Signed-By: {self.source.signed_by}")
        _write(self.folder / "sources" / "suite.sources", "\n".join(lines) + "\n")

    def _apt(self, argv: Sequence[str], deadline: Deadline, folder: Path | None = None) -> str:
        full = [argv[0], "-c", str(self.folder / "apt.conf"), *argv[1:]]
        return tool(full, deadline, folder)


def _write(path: Path, text: str) -> None:
    """Write a configuration; a path in it keeps its bytes, whatever the locale."""
    path.write_text(text, "utf-8", "surrogateescape")


def tool(argv: Sequence[str], deadline: Deadline, folder: Path | None = None) -> str:
    """Run a tool and return its output; raise `AptError` with its first error if it fails.

    It dies with us: an apt-get that outlives us would keep the state locked for the next run.
    """
    try:
        done = execute([*last_will(), *argv], deadline, folder=folder)
    except ToolTimeoutError as exc:
        raise AptError(f"{argv[0]} did not end in time") from exc
    if done.status != 0:
        said = done.stderr.decode(errors="replace").strip()
        errors = [line for line in said.splitlines() if line.startswith("E:")]
        raise AptError(f"{argv[0]}: {(errors or [said or f'status {done.status}'])[0]}")
    return done.stdout.decode(errors="replace")


def parse_packages(text: str) -> tuple[Package, ...]:
    """Parse the output of `apt-cache show`: stanzas of `Field: value` lines (deb822(5))."""
    packages = []
    for stanza in parse_stanzas(text):
        depends = re.split(r"[,|]", stanza.get("depends", ""))
        names = tuple(word.split()[0].split(":")[0] for word in depends if word.strip())
        packages.append(
            Package(stanza["package"], stanza["version"], stanza.get("sha256", ""), names)
        )
    return tuple(packages)


def parse_stanzas(text: str) -> tuple[Mapping[str, str], ...]:
    """Parse deb822 stanzas: field names in lower case, continuation lines unchanged."""
    stanzas = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        fields: dict[str, str] = {}
        name = ""
        for line in lines:
            if line[0] in " \t":
                fields[name] = f"{fields.get(name, '')}\n{line}"
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            stanzas.append(fields)
    return tuple(stanzas)


def sources_of_machine(scratch: Path, deadline: Deadline) -> tuple[Source, ...]:
    """Return the archives in the machine's apt configuration, likeliest first.

    `apt-get indextargets` is the documented way, but prints nothing before the machine's first
    `apt-get update`. `--print-uris` does, and with a state of our own an ordinary user may run it.
    """
    (scratch / "lists" / "partial").mkdir(mode=0o700, parents=True, exist_ok=True)
    said = tool(["apt-get", "-o", f"Dir::State={scratch}", "update", "--print-uris"], deadline)
    uris = re.findall(r"^'([^']+)/dists/([^']+)/(?:In)?Release'", said, re.MULTILINE)
    sites = dict.fromkeys(site for site, _ in uris)
    # Only the main archive has a `-updates` suite, so it comes first. -security has no backported
    # kernels of other releases, and third parties' archives have no kernels at all.
    updated = {site for site, suite in uris if suite.endswith("-updates")}
    ordered = sorted(sites, key=lambda site: (site not in updated, "security" in site))
    files = _source_files(deadline)
    return tuple(Source(site, signed_by(files, site) or debian_keyring()) for site in ordered)


def debian_keyring() -> str | None:
    """Return the path of the keyring of Debian's archive, None if this machine has none."""
    return next((str(path) for path in KEYRINGS if path.exists()), None)


def _source_files(deadline: Deadline) -> Sequence[str]:
    argv = ["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f"]
    said = tool([*argv, "PARTS", "Dir::Etc::sourceparts/d"], deadline)
    named = dict(re.findall(r"^(\w+)='([^']*)'$", said, re.MULTILINE))
    paths = [Path(named.get("LIST", "/etc/apt/sources.list"))]
    parts = Path(named.get("PARTS", "/etc/apt/sources.list.d"))
    if parts.is_dir():
        paths += sorted(path for path in parts.iterdir() if path.suffix in (".list", ".sources"))
    return [path.read_text("utf-8", "replace") for path in paths if path.is_file()]


def signed_by(files: Iterable[str], site: str) -> str | None:
    """Return the Signed-By of the entry for `site`; `files` are texts in either format."""
    address = site.rstrip("/")
    for text in files:
        for line in text.splitlines():
            words = re.match(r"\s*deb\s+\[([^\]]*)\]\s+(\S+)", line)
            if words and words[2].rstrip("/") == address:
                option = re.search(r"signed-by=(\S+)", words[1])
                return option[1] if option else None
        for stanza in parse_stanzas(text):
            if address in [uri.rstrip("/") for uri in stanza.get("uris", "").split()]:
                return stanza.get("signed-by")
    return None
