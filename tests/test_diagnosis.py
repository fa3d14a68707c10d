"""The diagnosis of this machine, and installing with a scripted package manager."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.machine import process
from harness.machine.places import Places
from harness.providers import TOOLS
from harness.providers import diagnosis as doctor
from harness.providers.diagnosis import (
    EXTRAS,
    INSTALLERS,
    PACKAGES,
    examine,
    install,
    packages_for,
)
from harness.providers.qemu.command import PROGRAM


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that makes a command; PATH has no other commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(process, "SBIN", ())

    def make(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\necho {name} $* >>{tmp_path}/ran\n{script}\n")
        path.chmod(0o755)

    return make


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to be root: os.geteuid returns 0."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def ran(folder: Path) -> list[str]:
    return [
        line
        for line in (folder / "ran").read_text().splitlines()
        if not line.endswith(("--version", " -V"))
    ]


def test_every_table_names_the_same_managers() -> None:
    assert set(INSTALLERS) == set(PACKAGES)
    for commands in PACKAGES.values():
        assert set(commands) <= set(TOOLS)
        assert PROGRAM in commands


def test_each_package_is_named_once() -> None:
    assert packages_for("brew", [PROGRAM, "qemu-img", "vagrant"]) == ("qemu",)


def test_extras_are_installed_only_when_asked_for(
    tool: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "SBIN", ())
    monkeypatch.setattr(doctor, "PLUGIN_FILES", {"apt-get": tmp_path / "plug-in"})
    assert "vagrant-libvirt" not in packages_for("apt-get", ["vagrant"])
    assert "vagrant-libvirt" in packages_for("apt-get", [], ["vagrant"])
    assert packages_for("brew", [], ["vagrant"]) == ()
    for command in EXTRAS["vagrant"].commands:
        tool(command, "")
    assert "vagrant-libvirt" in packages_for("apt-get", [], ["vagrant"])
    (tmp_path / "plug-in").touch()
    assert packages_for("apt-get", [], ["vagrant"]) == ()


def test_a_bare_machine_lacks_everything(places: Places, tool: Callable[[str, str], None]) -> None:
    found = examine(places)
    assert all(tool.path is None for tool in found.tools)
    assert (found.accelerators, found.manager, found.command) == ((), None, ())
    assert install(found).ran == ()


def test_what_is_there_says_its_version(places: Places, tool: Callable[[str, str], None]) -> None:
    tool("qemu-img", "echo qemu-img version 7.2; echo more")
    (found,) = [tool for tool in examine(places).tools if tool.path is not None]
    assert (found.name, found.version) == ("qemu-img", "qemu-img version 7.2")


def test_a_tool_for_root_is_found_outside_of_path_too(
    places: Places,
    tmp_path: Path,
    tool: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool("mke2fs", '[ "$*" = -V ] && echo mke2fs 1.47.0 >&2')
    (tmp_path / "bin").rename(tmp_path / "sbin")
    monkeypatch.setattr(process, "SBIN", (str(tmp_path / "sbin"),))
    (found,) = [tool for tool in examine(places).tools if tool.path is not None]
    assert (found.name, found.version) == ("mke2fs", "mke2fs 1.47.0")
    assert packages_for("apt-get", ["mke2fs"]) == ("e2fsprogs",)


@pytest.mark.usefixtures("root")
def test_root_installs_after_fetching_missing_lists(
    places: Places,
    tmp_path: Path,
    tool: Callable[[str, str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    tool("apt-get", 'echo "$DEBIAN_FRONTEND" >>' + str(tmp_path / "frontend"))
    # The real `apt-cache show` also succeeds if it knows one of several packages.
    tool("apt-cache", 'case "$*" in *qemu-utils*) exit 0 ;; *) exit 100 ;; esac')
    for name in ("setpriv", "mke2fs"):
        tool(name, "")
    found = examine(places)
    assert found.packages == ("qemu-system-x86", "qemu-utils")
    done = install(found)
    assert done.why is None
    lines = [line for line in ran(tmp_path) if line.startswith("apt-get")]
    assert lines[0].endswith("update")
    assert lines[1].endswith("install --no-install-recommends qemu-system-x86 qemu-utils")
    assert all("DPkg::Lock::Timeout=300" in line for line in lines)
    assert (tmp_path / "frontend").read_text().splitlines()[-1] == "noninteractive"
    assert [" ".join(argv) for argv in done.ran] == lines
    assert caplog.text.count("running: apt-get") == 2


@pytest.mark.usefixtures("root")
def test_lists_that_know_the_packages_are_not_fetched(
    places: Places,
    tmp_path: Path,
    tool: Callable[[str, str], None],
) -> None:
    tool("apt-get", "")
    tool("apt-cache", "")
    install(examine(places))
    assert not [line for line in ran(tmp_path) if line.endswith("update")]


@pytest.mark.usefixtures("root")
def test_lists_that_are_too_old_to_install_from_are_fetched(
    places: Places,
    tmp_path: Path,
    tool: Callable[[str, str], None],
) -> None:
    fresh = tmp_path / "fresh"
    unmet = "echo 'E: Unable to correct problems, you have held broken packages.' >&2; exit 100"
    tool(
        "apt-get",
        f'case "$*" in *update) : >{fresh} ;; *) test -e {fresh} || {{ {unmet}; }} ;; esac',
    )
    tool("apt-cache", "")
    done = install(examine(places))
    assert done.why is None
    assert ["update" in argv for argv in done.ran] == [False, True, False]


@pytest.mark.usefixtures("root")
def test_an_archive_that_has_no_such_package_is_asked_twice(
    places: Places, tool: Callable[[str, str], None]
) -> None:
    tool("apt-get", "case \"$*\" in *update) ;; *) echo 'E: no such package' >&2; exit 100 ;; esac")
    tool("apt-cache", "")
    done = install(examine(places))
    assert "no such package" in (done.why or "")
    assert len(done.ran) == 3


def test_without_rights_it_says_what_to_run(
    places: Places,
    tmp_path: Path,
    tool: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tool("dnf", "")
    for sudo in (None, "exit 1", "sleep 9"):
        if sudo is not None:
            monkeypatch.setattr(doctor, "VERSION_SECONDS", 0.5)
            tool("sudo", sudo)
        done = install(examine(places))
        assert done.ran == ()
        assert "dnf -y install" in (done.why or "")
        assert "qemu-system-x86-core" in (done.why or "")


def test_sudo_is_used_where_it_asks_nothing(
    places: Places,
    tmp_path: Path,
    tool: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tool("dnf", "")
    tool("sudo", "")
    done = install(examine(places))
    assert done.why is None
    assert done.ran[0][:4] == ("sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive")


@pytest.mark.usefixtures("root")
def test_a_failed_installation_says_why(places: Places, tool: Callable[[str, str], None]) -> None:
    tool("pacman", "echo 'error: target not found' >&2; exit 1")
    done = install(examine(places))
    assert "target not found" in (done.why or "")
    assert len(done.ran) == 1


@pytest.mark.usefixtures("root")
def test_brew_is_not_run_by_root(places: Places, tool: Callable[[str, str], None]) -> None:
    tool("brew", "")
    assert "brew install qemu" in (install(examine(places)).why or "")
