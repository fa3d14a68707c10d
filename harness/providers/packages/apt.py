"""One suite of one Debian archive through apt, with a private state that the machine never sees.

apt does the checking: the Release file's signature against the keyring, the index's sha256
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
"""What differs from the machine's own apt configuration, which stays in force for all the rest (a
proxy, `Acquire::Check-Valid-Until`). Its hooks would touch the machine's own state, its pins are
not about us. The folders are closed to others, so to apt's sandbox user as well."""


class AptError(Exception):
    """What apt said when it could not; translated by `debian`."""


class Source(Struct, frozen=True):
    """An archive's address, and the keys that have to have signed it (a path, or the key itself).

    Without `signed_by` apt asks for a key among those that the machine trusts for everything.
    """

    site: str
    signed_by: str | None


class Package(Struct, frozen=True):
    """What an index says of a package."""

    name: str
    version: str
    sha256: str
    depends: tuple[str, ...]


class Suite(Struct, frozen=True):
    """An archive's suite; `folder` is its private state. Not for two at once: see `debian`."""

    name: str
    source: Source
    folder: Path

    def refresh(self, deadline: Deadline) -> None:
        """Fetch the index, if the one that is there is not of today."""
        stamp = self.folder / "stamp"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < INDEX_SECONDS:
            return
        self._lay_out()
        logger.info("apt-get update of %s", self.name)
        self._apt(["apt-get", "-q", "update"], deadline)
        stamp.touch()

    def show(self, names: Iterable[str], deadline: Deadline) -> tuple[Package, ...]:
        """Return what the index says of the packages that it knows, newest version of each."""
        argv = ["apt-cache", "-q", "show", "--no-all-versions", *names]
        try:
            return parse_packages(self._apt(argv, deadline))
        except AptError as exc:
            if "No packages found" in str(exc):
                return ()
            raise

    def download(self, packages: Sequence[Package], into: Path, deadline: Deadline) -> None:
        """Fetch just these packages into a folder, verified."""
        names = [f"{package.name}={package.version}" for package in packages]
        self._apt(["apt-get", "-q", "download", *names], deadline, into)

    def download_closure(self, names: Sequence[str], into: Path, deadline: Deadline) -> None:
        """Fetch packages and all that they depend on, as for a machine with nothing installed."""
        (into / "partial").mkdir()
        options = [
            "-o",
            f"Dir::Cache::archives={into}",
            "--no-install-recommends",
            "--download-only",
        ]
        self._apt(["apt-get", "-q", "-y", *options, "install", *names], deadline)

    def _lay_out(self) -> None:
        for part in ("lists/partial", "archives/partial", "sources"):
            (self.folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "apt.conf").write_text(CONFIGURATION.format(folder=self.folder))
        lines = ["Types: deb", f"URIs: {self.source.site}", f"Suites: {self.name}"]
        lines += ["Components: main", "Architectures: amd64", "Targets: Packages"]
        if self.source.signed_by is not None:
            lines.append(f"Signed-By: {self.source.signed_by}")
        (self.folder / "sources" / "suite.sources").write_text("\n".join(lines) + "\n")

    def _apt(self, argv: Sequence[str], deadline: Deadline, folder: Path | None = None) -> str:
        full = [argv[0], "-c", str(self.folder / "apt.conf"), *argv[1:]]
        return tool(full, deadline, folder)


def tool(argv: Sequence[str], deadline: Deadline, folder: Path | None = None) -> str:
    """Run a tool, return what it said; `AptError` with its first error otherwise.

    It dies with us: an apt-get that goes on alone has the state locked for the next run.
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
    """Read `apt-cache show`: stanzas of `Field: value` lines (deb822(5))."""
    packages = []
    for stanza in parse_stanzas(text):
        depends = re.split(r"[,|]", stanza.get("depends", ""))
        names = tuple(word.split()[0].split(":")[0] for word in depends if word.strip())
        packages.append(
            Package(stanza["package"], stanza["version"], stanza.get("sha256", ""), names)
        )
    return tuple(packages)


def parse_stanzas(text: str) -> tuple[Mapping[str, str], ...]:
    """Read deb822 stanzas, fields in lower case, continuation lines kept as they are."""
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
    """Return the archives that the machine's apt is set to, likeliest first.

    `apt-get indextargets` would be the documented way, but says nothing before the machine's first
    `apt-get update`; `--print-uris` does, with a state of our own also to an ordinary user.
    """
    (scratch / "lists" / "partial").mkdir(mode=0o700, parents=True, exist_ok=True)
    said = tool(["apt-get", "-o", f"Dir::State={scratch}", "update", "--print-uris"], deadline)
    uris = re.findall(r"^'([^']+)/dists/([^']+)/(?:In)?Release'", said, re.MULTILINE)
    sites = dict.fromkeys(site for site, _ in uris)
    # Of all archives only the main one has `-updates` beside the release itself; -security has
    # no kernels of other releases' backports, and third parties' have no kernels at all.
    updated = {site for site, suite in uris if suite.endswith("-updates")}
    ordered = sorted(sites, key=lambda site: (site not in updated, "security" in site))
    files = _source_files(deadline)
    return tuple(Source(site, signed_by(files, site) or debian_keyring()) for site in ordered)


def debian_keyring() -> str | None:
    """Return the keyring of Debian's archive, if this machine has it."""
    return next((str(path) for path in KEYRINGS if path.exists()), None)


def _source_files(deadline: Deadline) -> Sequence[str]:
    argv = ["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f"]
    said = tool([*argv, "PARTS", "Dir::Etc::sourceparts/d"], deadline)
    named = dict(re.findall(r"^(\w+)='([^']*)'$", said, re.MULTILINE))
    paths = [Path(named.get("LIST", "/etc/apt/sources.list"))]
    parts = Path(named.get("PARTS", "/etc/apt/sources.list.d"))
    if parts.is_dir():
        paths += sorted(path for path in parts.iterdir() if path.suffix in (".list", ".sources"))
    return [path.read_text(errors="replace") for path in paths if path.is_file()]


def signed_by(files: Iterable[str], site: str) -> str | None:
    """Return the Signed-By of the entry that names `site` in files of either format."""
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
