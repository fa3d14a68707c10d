"""The seed CD: its contents, and whether its readers can parse them."""

import io
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pycdlib
import pytest
import yaml

from harness.providers.qemu.seed import HostKeys, make, user_data
from harness.transport.keys import key_text, make_key, read_key


def files_of(image: Path, facet: str) -> dict[str, str]:
    """Read both files by their names in one naming scheme (Rock Ridge, Joliet)."""
    found = {}
    disc = pycdlib.PyCdlib()
    disc.open(str(image))
    for name in ("user-data", "meta-data"):
        content = io.BytesIO()
        disc.get_file_from_iso_fp(content, **{f"{facet}_path": f"/{name}"})
        found[name] = content.getvalue().decode()
    disc.close()
    return found


@pytest.mark.parametrize("facet", ["rr", "joliet"])
def test_both_files_have_their_names_in_both_extensions(facet: str, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    made = make(tmp_path / "seed.iso", "Linux", "root", key)
    found = files_of(made.path, facet)
    assert found["user-data"].startswith("#cloud-config\n")
    assert json.loads(found["meta-data"])["instance-id"].startswith("reuseport-matrix-")


def test_the_label_is_where_everybody_looks_for_it(tmp_path: Path) -> None:
    made = make(tmp_path / "seed.iso", "Linux", "root", make_key(tmp_path / "key"))
    content = made.path.read_bytes()
    assert content[32769:32774] == b"CD001"  # ECMA-119, 8.4.2
    assert content[32808:32840].rstrip() == b"cidata"
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600  # it contains the host's private key


@pytest.mark.parametrize("user", ["root", "freebsd"])
def test_the_key_gets_in_as_the_user_and_the_host_key_is_ours(user: str, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    made = make(tmp_path / "seed.iso", "Linux", user, key)
    config = yaml.safe_load(files_of(made.path, "rr")["user-data"])
    line = f"{key.get_name()} {key.get_base64()}"
    (entry,) = config["users"]
    assert (entry["name"], entry["ssh_authorized_keys"]) == (user, [line])
    assert (config["disable_root"], config["ssh_pwauth"]) == (False, False)
    for name, ours in zip(("ed25519", "ecdsa"), made.host_keys.public, strict=True):
        private = tmp_path / name
        private.write_text(config["ssh_keys"][f"{name}_private"])
        assert read_key(private).asbytes() == ours.asbytes()
        assert config["ssh_keys"][f"{name}_public"] == key_text(ours)
    assert ("runcmd" in config) == (user == "root")
    assert all(isinstance(command, str) for command in config.get("runcmd", []))  # nuageinit


def written_for(system: str, user: str, folder: Path) -> dict[str, Any]:
    text = user_data(system, user, make_key(folder / system), HostKeys.generate())
    config = yaml.safe_load(text)
    assert isinstance(config, dict)
    return config


@pytest.mark.parametrize("user", ["root", "freebsd"])
def test_freebsds_first_boot_looks_for_no_update_and_sshd_need_not_restart(
    user: str, tmp_path: Path
) -> None:
    config = written_for("FreeBSD", user, tmp_path)
    files = {file["path"]: file for file in config["write_files"]}
    for name in ("firstboot_freebsd_update", "firstboot_pkg_upgrade"):
        file = files.pop(f"/etc/rc.conf.d/{name}")  # rc.conf itself is read only once a boot
        assert (file["content"], "append" in file) == (f'{name}_enable="NO"\n', False)
    assert "runcmd" not in config
    if user != "root":
        assert not files
        return
    (path,) = files
    assert (path, files[path]["append"]) == ("/etc/ssh/sshd_config", True)
    assert files[path]["content"] == "PermitRootLogin prohibit-password\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("#PermitRootLogin no\nPort 22\n", None),
        ("Port 22\nPermitRootLogin no\n", "Port 22\nPermitRootLogin without-password\n"),
    ],
)
def test_root_is_let_in_where_the_image_forbids_it(
    before: str, after: str | None, tmp_path: Path
) -> None:
    (command,) = written_for("Linux", "root", tmp_path)["runcmd"]
    file = tmp_path / "sshd_config"
    file.write_text(before)
    shell = command.replace("/etc/ssh/sshd_config", str(file)).replace("service", "echo")
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert file.read_text() == (after or before)
    assert (done.stdout == "sshd restart\n") == (after is not None)


def test_a_strange_user_name_stays_one_value(tmp_path: Path) -> None:
    name = 'a"b: {c}\n- d'
    made = make(tmp_path / "seed.iso", "Linux", name, make_key(tmp_path / "key"))
    config = yaml.safe_load(files_of(made.path, "rr")["user-data"])
    assert [entry["name"] for entry in config["users"]] == [name]
    assert set(config) == {"users", "disable_root", "ssh_pwauth", "ssh_keys"}


def test_each_boot_is_another_instance_with_another_host_key(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    one, two = (make(tmp_path / name, "Linux", "root", key) for name in ("one", "two"))
    assert not set(one.host_keys.public) & set(two.host_keys.public)
    assert files_of(one.path, "rr")["meta-data"] != files_of(two.path, "rr")["meta-data"]
