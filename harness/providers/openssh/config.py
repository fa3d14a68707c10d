"""Reads ssh_config(5): the keywords that matter here, for one host.

paramiko looks a host up. Before that, the text is reduced to what paramiko reads as ssh(1) does:
paramiko knows no `Include`, applies a `Match` block with a criterion that it does not know, and
rejects a whole file for one bad line. Here a bad line matters only to the hosts of its block.
"""

import getpass
import glob
import logging
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import paramiko

from harness.providers.openssh.errors import OpensshError

logger = logging.getLogger(__name__)

SYSTEM = Path("/etc/ssh/ssh_config")

DEPTH = 16
"""Files that may include each other; readconf.c has the same limit (READCONF_MAX_DEPTH)."""

ONE = (
    *("hostname", "hostkeyalias", "port", "user", "identityfile", "identitiesonly"),
    *("identityagent", "canonicalizehostname", "canonicalizemaxdots", "canonicalizefallbacklocal"),
)
"""Keywords with one value. All others of the file are left out."""

SEVERAL = (
    *("userknownhostsfile", "globalknownhostsfile", "canonicaldomains"),
    *("proxycommand", "proxyjump"),
)
"""Keywords whose value is the rest of the line."""

ALONE = ("all", "canonical", "final")
WITH_PATTERNS = ("host", "originalhost", "user", "localuser")
"""Criteria of `Match` that paramiko knows, without and with an argument."""

UNUSABLE = "unusable"
"""A keyword of this program: what is wrong with a line, in the block of that line."""

LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+|$)(.*?)\s*")
"""Keyword and value; between them are blanks or one `=`."""

WORD = re.compile(r"""\"([^"]*)\"|'([^']*)'|([^\s"'][^\s"]*)|(["'])""")
"""A word of a line: in either kind of quotes, or without; or a quotation mark that is alone."""

PROBLEMS = (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, KeyError, ValueError, OSError)
"""What paramiko raises when it looks a host up; `KeyError` for a keyword that needs another."""


def look_up(host: str, folder: Path, system: Path = SYSTEM) -> paramiko.config.SSHConfigDict:
    """Return what `config` in `folder`, and then the system's config, say about a host."""
    lines = [*_File(folder / "config", folder).lines(), _match("")]
    lines += _File(system, system.parent).lines()
    if all(line.startswith("Match ") for line in lines):
        return paramiko.config.SSHConfigDict()
    _need_name()
    try:
        found = paramiko.SSHConfig.from_text("\n".join(lines)).lookup(host)
    except PROBLEMS as exc:
        raise OpensshError(f"{folder / 'config'} cannot be used for {host}: {exc!r}") from exc
    if UNUSABLE in found:
        raise OpensshError(f"{found[UNUSABLE]} (this line is about the host {host})")
    return found


def _need_name() -> None:
    """Check that this process's user has a name, which paramiko needs for `Match` and `%u`."""
    try:
        getpass.getuser()
    except (KeyError, OSError) as exc:
        raise OpensshError(
            f"the user with uid {os.getuid()} has no name on this machine, and ~/.ssh/config may "
            "depend on it: set LOGNAME"
        ) from exc


class _File:
    """One file, and those that it includes; a relative path of `Include` is below `folder`.

    `around` are the criteria of the block that includes this file: they must hold, too.
    """

    def __init__(self, path: Path, folder: Path, around: str = "", depth: int = 0) -> None:
        self._path, self._folder = path, folder
        self._around, self._depth = around, depth
        self._criteria: str | None = around
        self._number = 0

    def lines(self) -> Iterator[str]:
        """Yield the lines for paramiko; raise `OpensshError` for a file that cannot be read."""
        for number, line in enumerate(self._text().splitlines(), start=1):
            self._number = number
            if not line.strip() or line.strip().startswith("#"):
                continue
            parts = LINE.fullmatch(line)
            keyword, rest = (parts[1].lower(), parts[2]) if parts else (line.strip(), "")
            if keyword in ("host", "match"):
                self._criteria = self._block(keyword, rest)
                if self._criteria is not None:
                    yield _match(self._criteria)
            elif self._criteria is not None:
                yield from self._setting(keyword, rest)

    @property
    def _where(self) -> str:
        return f"{self._path}:{self._number}"

    def _text(self) -> str:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ""
        except OSError as exc:
            raise OpensshError(f"{self._path} cannot be read: {exc.strerror or exc}") from exc
        return content.decode("utf-8-sig", errors="replace")

    def _block(self, keyword: str, rest: str) -> str | None:
        """Return the criteria of a block, with those around it; None if it is never used."""
        words = self._words(rest)
        if not words:
            raise OpensshError(f"{self._where}: expected a pattern after `{keyword}`")
        own = f"originalhost {shlex.quote(','.join(words))}"
        if keyword == "match":
            found = self._criteria_of(words)
            if found is None:
                return None
            own = found
        return f"{self._around} {own}".strip()

    def _criteria_of(self, words: Sequence[str]) -> str | None:
        """Return the criteria of a `Match` line as paramiko wants them; None for unknown ones."""
        # `host=a` is the same as `host a`. paramiko wants lower case, and `all` only alone.
        rest = [part for word in words for part in _unjoined(word)]
        found: list[str] = []
        while rest:
            name = rest.pop(0).lower()
            if (plain := name.removeprefix("!")) in ALONE:
                found += [] if plain == "all" else [name]
            elif plain in WITH_PATTERNS and rest:
                found += [name, shlex.quote(rest.pop(0))]
            elif plain in WITH_PATTERNS:
                raise OpensshError(f"{self._where}: expected a pattern after `{plain}`")
            else:
                logger.info("%s: ignoring a `Match %s` block: not supported", self._where, plain)
                return None
        return " ".join(found)

    def _setting(self, keyword: str, rest: str) -> Iterator[str]:
        if not rest:
            yield f"{UNUSABLE} {self._where}: expected a value after `{keyword}`"
        elif keyword == "include":
            yield from self._included(rest)
        elif keyword in SEVERAL:
            yield f"{keyword} {rest}"
        elif keyword in ONE:
            value = "".join(self._words(rest)[:1])
            if keyword == "port" and not (value.isdecimal() and 0 < int(value) < 65536):
                yield f"{UNUSABLE} {self._where}: expected a port from 1 to 65535, not `{value}`"
            else:
                yield f"{keyword} {value}"

    def _included(self, rest: str) -> Iterator[str]:
        if self._depth >= DEPTH:
            raise OpensshError(f"{self._where}: more than {DEPTH} files include each other")
        criteria = self._criteria or ""
        for word in self._words(rest):
            pattern = str(self._folder / os.path.expanduser(word))
            for name in sorted(glob.glob(pattern)):
                yield from _File(Path(name), self._folder, criteria, self._depth + 1).lines()
                yield _match(criteria)  # what comes next belongs to our block again

    def _words(self, rest: str) -> list[str]:
        try:
            return words(rest)
        except ValueError as exc:
            raise OpensshError(f"{self._where}: expected a second quotation mark: {rest}") from exc


def words(text: str) -> list[str]:
    r"""Split as ssh(1) does; raise `ValueError` for a quotation mark without a second one.

    Quotes hold a word together, `#` begins a comment at the start of a word, and a backslash
    stands for itself, as in `User DOMAIN\me`. (shlex changes the last two.)
    """
    found = []
    for double, single, plain, alone in WORD.findall(text):
        if alone:
            raise ValueError(text)
        if plain.startswith("#"):
            break
        found.append(double or single or plain)
    return found


def _unjoined(word: str) -> list[str]:
    name, equals, pattern = word.partition("=")
    return [name, pattern] if equals and name.isalpha() else [word]


def _match(criteria: str) -> str:
    return f"Match {criteria or 'all'}"
