"""Boxes in Vagrant's folder, as older and newer versions of Vagrant store them."""

from pathlib import Path

import pytest

from harness.model import Box
from harness.providers.vagrant import boxes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path))
    return tmp_path / "boxes" / "example-VAGRANTSLASH-box"


def test_the_newest_box_counts_whatever_vagrants_age(folder: Path) -> None:
    for place in ("1.9/virtualbox", "1.10/amd64/virtualbox", "2.0/libvirt"):
        (folder / place).mkdir(parents=True)
    assert boxes.version_here(Box("example/box"), "virtualbox") == "1.10"
    assert boxes.version_here(Box("example/other"), "virtualbox") is None


def test_only_the_version_that_the_guest_file_names_counts(folder: Path) -> None:
    (folder / "1.9" / "virtualbox").mkdir(parents=True)
    assert boxes.version_here(Box("example/box", version="1.9"), "virtualbox") == "1.9"
    assert boxes.version_here(Box("example/box", version="2"), "virtualbox") is None
