"""Lays out a system that chroot(2) can enter: packages unpacked over each other, and a few files.

No maintainer script is run, so what they would make is written here: accounts, links, empty
folders. Documentation and translations are left out.
"""

import logging
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from harness.deadline import Deadline
from harness.errors import ImageError
from harness.machine.process import ToolTimeoutError, execute, last_will
from harness.providers.packages import apt

logger = logging.getLogger(__name__)

LOADER = "ld-linux-x86-64.so.2"

ISOLATED = ("-S", "-E", "-s", "-B")
"""Options of Python: no site-packages, no variables, none of the user's folders."""

MERGED = {
    **{name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")},
    "var/run": "../run",
    "var/lock": "../run",
}
"""Links that are there before anything is unpacked. Packages may have folders in their place, whose
files then go where the link leads: what Debian 12 and later do, and base-files' script."""

UNWANTED = (
    *(f"usr/share/{name}" for name in ("doc", "man", "locale", "info", "lintian", "bug", "ri")),
    *("usr/include", "usr/lib/debug", "usr/share/doc-base", "usr/lib/x86_64-linux-gnu/gconv"),
    *("usr/share/i18n", "usr/share/zoneinfo", "usr/share/bash-completion", "usr/share/icons"),
    *("usr/share/zsh", "usr/share/fish", "usr/share/gtk-doc", "usr/lib/udev", "lib/udev"),
)
"""Folders that are left out: a server does without them."""

EMPTY = (
    *("proc", "dev", "sys", "run", "tmp", "srv", "root", "mnt", "etc", "var/lib", "var/cache"),
    *("var/log", "var/tmp", "var/spool"),
)
"""Folders that a server, or whoever starts it, expects."""

USERS = {
    "daemon": 1,
    "www-data": 33,
    "haproxy": 101,
    "unbound": 102,
    "knot": 103,
    "nsd": 104,
    "postgres": 105,
    "caddy": 106,
    "redis": 107,
    "memcache": 108,
    "varnish": 109,
    "vcache": 110,
    "_dnsdist": 111,
    "pdns": 112,
    "bind": 113,
    "sshd": 114,
    "stunnel4": 115,
    "_hitch": 116,
    "lighttpd": 117,
    "systemd-network": 118,
}
"""Accounts that configurations of servers name; each has a group of the same name and number."""

GROUPS = {"adm": 4, "tty": 5, "disk": 6, "shadow": 42, "utmp": 43, "staff": 50}

FILES = {
    "etc/passwd": "root:*:0:0:root:/root:/bin/sh\n"
    + "".join(
        f"{name}:*:{number}:{number}:{name}:/nonexistent:/usr/sbin/nologin\n"
        for name, number in USERS.items()
    )
    + "nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\n"
    + "".join(f"{name}:x:{number}:\n" for name, number in (GROUPS | USERS).items())
    + "nogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/hostname": "localhost\n",
    "etc/resolv.conf": "",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
    "protocols: files\nservices: files\n",
}

LINKS = {
    "usr/bin/sh": "dash",
    "usr/bin/awk": "mawk",
    "usr/bin/node": "nodejs",
    "etc/mtab": "../proc/self/mounts",
}
"""Links that maintainer scripts make, unless a package has the file. All are relative: nothing may
lead out of the folder, whoever follows it."""

SHAPE = repr((MERGED, UNWANTED, EMPTY, FILES, LINKS, 1))
"""All that decides what a tree of given packages looks like; the number is for the code."""


def build(debs: Sequence[Path], tree: Path, deadline: Deadline) -> None:
    """Lay out packages in a new folder."""
    tree.mkdir()
    for name, target in MERGED.items():
        parent = _folder(tree, (tree / name).parent)
        _folder(tree, Path(os.path.normpath(parent / target)))
        (tree / name).symlink_to(target)
    for deb in debs:
        whole = deb.with_suffix(".whole")
        apt.tool(["dpkg-deb", "-x", str(deb), str(whole)], deadline)
        _merge(whole, tree)
        shutil.rmtree(whole)
    _compile(tree, deadline)
    for name in EMPTY:
        _folder(tree, tree / name)
    for name, text in FILES.items():
        path = tree / name
        path.unlink(missing_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o644)
    for name, target in LINKS.items():
        path = tree / name
        there = (path.parent / target).exists() or target.startswith("..")
        if there and not os.path.lexists(path):
            path.symlink_to(target)
    # Readable for servers that give up root's rights; the folder around it is this user's alone.
    tree.chmod(0o755)
    for name in ("tmp", "var/tmp"):
        (tree / name).chmod(0o1777)


def _compile(tree: Path, deadline: Deadline) -> None:
    """Compile Python's modules, as their packages do when they are installed.

    A tree is never written to, so every start of a server would compile them. The tree's own Python
    runs here, with the tree's own loader and libraries. A module that cannot be compiled stays.
    """
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    for python in sorted((tree / "usr/bin").glob("python3.[0-9]*")):
        if not python.name.removeprefix("python3.").isdecimal():
            continue  # python3.11-config
        folders = [tree / "usr/lib" / name for name in (python.name, "python3")]
        argv = [str(libraries / LOADER), "--library-path", str(libraries), str(python), *ISOLATED]
        argv += ["-m", "compileall", "-q", "-s", str(tree), "-p", "/", *map(str, folders)]
        try:
            done = execute([*last_will(), *argv], deadline)
        except ToolTimeoutError as exc:
            raise ImageError(f"{python.name} did not compile its modules in time") from exc
        if done.status != 0:
            logger.info("%s compiled not all of its modules: %s", python.name, done.complaint)


def _merge(whole: Path, tree: Path) -> None:
    """Move an unpacked package's files to where they belong in the tree."""
    for folder, names, files in os.walk(whole):
        here = Path(folder).relative_to(whole)
        names[:] = [name for name in names if not _is_unwanted(here / name)]
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        target = _folder(tree, tree / here)
        for name in (*files, *links):
            _move(Path(folder) / name, target / name)


def _is_unwanted(path: Path) -> bool:
    return path.as_posix() in UNWANTED


def _move(source: Path, target: Path) -> None:
    """Move a file or link; a folder or a link to one that is there already stays."""
    if source.is_symlink() and target.is_dir():
        return
    status = source.lstat()
    if stat.S_ISREG(status.st_mode):
        # Readable for whoever makes an image of it; and never with the rights of its owner.
        source.chmod(stat.S_IMODE(status.st_mode) & 0o777 | 0o600)
    elif not source.is_symlink():
        return  # a device or a pipe: no server's package has one
    source.replace(target)


def _folder(tree: Path, path: Path) -> Path:
    """Return a folder of the tree; make it if it is missing.

    Raise `ImageError` if a link leads out of the tree: the packages are verified, but an absolute
    link means another place here than after chroot(2).
    """
    inside = tree.resolve()
    way = [one for one in (path, *path.parents) if one.is_relative_to(tree)]
    for one in reversed(way):
        real = one.resolve()
        if not real.is_relative_to(inside):
            raise ImageError(f"{path.relative_to(tree)} of a package is below a link to elsewhere")
        if not real.is_dir():
            real.mkdir()
            real.chmod(0o755)
    return path
