"""The Vagrantfile has the same providers, and the same defaults of a guest file, as the harness."""

import json
import re

import pytest
from msgspec.structs import fields

from harness.clocks import SLOW
from harness.guests.limits import VAGRANT_PROVIDERS
from harness.machine.resources import vagrant_folder
from harness.model import Box
from harness.model.guest import Vagrant

TEXT = (vagrant_folder() / "Vagrantfile").read_text()

SYSTEMS = ("freebsd", "netbsd", "dragonfly", "openbsd", "linux", "macos", "darwin")


def test_what_a_guest_file_leaves_out_is_the_same_on_both_sides() -> None:
    written = re.search(r"^DEFAULTS = (\{.*?\})\.freeze", TEXT, re.MULTILINE | re.DOTALL)
    assert written is not None
    defaults = json.loads(written[1].replace("=>", ":"))
    ours = Vagrant(boxes={"libvirt": Box("a/b")})
    assert defaults.pop("ssh") == {"user": ours.ssh.user}
    assert defaults == {name: getattr(ours, name) for name in defaults}
    assert f"SLOW_FACTOR = {SLOW:g}\n" in TEXT


def test_every_key_of_the_section_reaches_vagrant() -> None:
    """`password` was read here and by nobody, so Cirrus Labs' images let no one in."""
    read = set(re.findall(r'\bguest\["(\w+)"\]', TEXT))
    assert read >= {one.name for one in fields(Vagrant)}


def test_a_screen_that_nobody_sees_leaves_the_graphics_card() -> None:
    """vagrant-libvirt leaves out `<video>` if there are no graphics (domain.xml.erb, 0.11.2)."""
    assert "video_type" not in TEXT
    assert "%w[-device VGA,addr=0x10]" in TEXT


def test_every_provider_of_vagrants_is_set_up() -> None:
    assert tuple(re.findall(r'^  "(\w+)" => lambda', TEXT, re.MULTILINE)) == VAGRANT_PROVIDERS


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_system_is_special(system: str) -> None:
    code = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))
    assert system not in code.lower()
