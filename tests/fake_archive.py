"""An archive of Debian packages for tests: real packages, made here, and scripts that play apt.

A real archive must be signed, and apt checks that (tests/vm tests it for real).
"""

import subprocess
from pathlib import Path

import pytest

from harness.providers.packages import mirror

SCRIPT = """#!/bin/sh
archive={archive}
echo "$(basename $0) $*" >>$archive/asked
conf=
[ "$1" = -c ] && {{ conf=$2; shift 2; }}
suite=$(sed -n 's/^Suites: //p' "$(dirname "$conf")/sources/suite.sources" 2>/dev/null)
case "$(basename $0) $*" in
*--print-uris*) echo "'mirror://one/dists/stable/InRelease' x 0"
                echo "'mirror://main/dists/stable/InRelease' x 0"
                echo "'mirror://main/dists/stable-updates/InRelease' x 0" ;;
apt-config*) ;;
*update*) [ -e $archive/down ] && {{ echo 'E: cannot reach' >&2; exit 100; }}
          grep -q 'mirror://main' "$(dirname "$conf")/sources/suite.sources" || exit 100 ;;
apt-cache*) shift 3; found=
            for name; do cat $archive/$suite/$name.control 2>/dev/null && found=1 && echo; done
            [ "$found" ] || {{ echo 'E: No packages found' >&2; exit 100; }} ;;
*" -s "*install*) for name; do
                     [ -e $archive/$suite/$name.broken ] && {{ echo 'E: unmet' >&2; exit 100; }}
                  done ;;
*install*) for word; do
               case $word in Dir::Cache::archives=*) into=${{word#*=}} ;; esac
               ! [ -e $archive/$suite/$word.deb ] || cp $archive/$suite/$word.deb $into
               ! [ -e $archive/$suite/$word.broken ] || {{ echo 'E: unmet' >&2; exit 100; }}
           done ;;
*download*) shift 2; for word; do cp $archive/$suite/${{word%%=*}}.deb . || exit 100; done ;;
esac
exit 0
"""


def prepare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a fake apt in `folder` and put it first on PATH; return the folder of its archive."""
    archive, tools = folder / "archive", folder / "bin"
    archive.mkdir()
    tools.mkdir()
    for name in ("apt-get", "apt-cache", "apt-config"):
        (tools / name).write_text(SCRIPT.format(archive=archive))
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.delenv(mirror.MIRROR, raising=False)
    return archive


def offer(
    suite: Path, name: str, version: str, *, depends: str = "", files: dict[str, str] | None = None
) -> None:
    """Put a package into a suite; a file whose content begins with `-> ` is a link."""
    tree = suite / name
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
    control += f"Depends: {depends}\n" if depends else ""
    control += "Maintainer: nobody <nobody@invalid>\nDescription: made for a test\n"
    (tree / "DEBIAN" / "control").write_text(control)
    for path, content in (files or {}).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            (tree / path).symlink_to(content[3:])
        else:
            (tree / path).write_text(content)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", tree, suite / f"{name}.deb"],
        check=True,
        capture_output=True,
    )
    (suite / f"{name}.control").write_text(control)


def asked(archive: Path) -> str:
    """Return what apt was asked."""
    return (archive / "asked").read_text()
