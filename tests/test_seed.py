"""The seed CD: its contents, and whether its readers can parse them."""

import io
import json
import stat
from pathlib import Path

import paramiko
import pycdlib
import pytest
import yaml

from harness.providers.qemu.seed import make
from harness.transport.keys import make_key, public_key


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
    made = make(tmp_path / "seed.iso", "root", key)
    found = files_of(made.path, facet)
    assert found["user-data"].startswith("#cloud-config\n")
    assert json.loads(found["meta-data"])["instance-id"].startswith("reuseport-matrix-")


def test_the_label_is_where_everybody_looks_for_it(tmp_path: Path) -> None:
    made = make(tmp_path / "seed.iso", "root", make_key(tmp_path / "key"))
    content = made.path.read_bytes()
    assert content[32769:32774] == b"CD001"  # ECMA-119, 8.4.2
    assert content[32808:32840].rstrip() == b"cidata"
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600  # it contains the host's private key


@pytest.mark.parametrize("user", ["root", "freebsd"])
def test_the_key_gets_in_as_the_user_and_the_host_key_is_ours(user: str, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    made = make(tmp_path / "seed.iso", user, key)
    config = yaml.safe_load(files_of(made.path, "rr")["user-data"])
    line = f"{key.get_name()} {key.get_base64()}"
    (entry,) = config["users"]
    assert (entry["name"], entry["ssh_authorized_keys"]) == (user, [line])
    assert (config["disable_root"], config["ssh_pwauth"]) == (False, False)
    pem = config["ssh_keys"]["ed25519_private"]
    private = paramiko.Ed25519Key.from_private_key(io.StringIO(pem))
    ours = public_key(made.host_key)
    assert private.asbytes() == ours.asbytes()
    assert config["ssh_keys"]["ed25519_public"] == f"ssh-ed25519 {ours.get_base64()}"
    assert ("runcmd" in config) == (user == "root")
    assert all(isinstance(command, str) for command in config.get("runcmd", []))  # nuageinit


def test_a_strange_user_name_stays_one_value(tmp_path: Path) -> None:
    name = 'a"b: {c}\n- d'
    made = make(tmp_path / "seed.iso", name, make_key(tmp_path / "key"))
    config = yaml.safe_load(files_of(made.path, "rr")["user-data"])
    assert [entry["name"] for entry in config["users"]] == [name]
    assert set(config) == {"users", "disable_root", "ssh_pwauth", "ssh_keys"}


def test_each_boot_is_another_instance_with_another_host_key(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    one, two = (make(tmp_path / name, "root", key) for name in ("one", "two"))
    assert one.host_key.public_key() != two.host_key.public_key()
    assert files_of(one.path, "rr")["meta-data"] != files_of(two.path, "rr")["meta-data"]
