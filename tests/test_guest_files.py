"""Our own guest files: every system of the matrix, each release with a way, each address told."""

import ast
import platform
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness import guests
from harness.errors import NotRunError
from harness.guests import select
from harness.machine import architecture
from harness.machine.places import Places
from harness.machine.resources import guests_folder
from harness.model import Box, Guest, Image
from harness.providers import choose, offers
from harness.providers.workshop import Workshop

FILES = guests.load([guests_folder()])

SYSTEMS = {
    "linux": ("linux-musl", "Linux"),
    "freebsd": ("freebsd", "FreeBSD"),
    "dragonfly": ("dragonfly", "DragonFly"),
    "netbsd": ("netbsd", "NetBSD"),
    "macos": ("macos", "macOS"),
    "openbsd": ("openbsd", "OpenBSD"),
    "omnios": ("illumos", "OmniOS"),
    "gvisor": ("linux-musl", "gVisor"),
}
"""As tox names them: Zig's name, and the guest files'."""

VENDORS = {
    *("download.freebsd.org", "archive.freebsd.org", "cdn.netbsd.org"),
    *("mirror-master.dragonflybsd.org", "cloud.debian.org", "cloud-images.ubuntu.com"),
    "cloud.centos.org",
}

PUBLISHER = "https://github.com/anyvm-org/"
"""Publishes ready images with root's key, where a vendor has none that we can enter."""

UNREADABLE = ("OpenBSD", "OmniOS")
"""Systems without sysctlbyname(3) or /proc/sys: the agent cannot read a tunable by its name."""

ARTICLE = ("Linux", "FreeBSD", "DragonFly", "NetBSD")
"""The systems of the article that have images; macOS may only run on Apple's computers."""

LICENCE = "Apple's licence allows macOS on Apple's own computers only"

SLOW_TO_DETECT = "Vagrant tries one system after the other, 26 s in emulation"

every_guest = pytest.mark.parametrize("guest", FILES.values(), ids=FILES.keys())


def images() -> Iterator[tuple[Guest, Image]]:
    for guest in FILES.values():
        if guest.qemu is not None and guest.qemu.image is not None:
            yield guest, guest.qemu.image


def boxes(guest: Guest) -> Iterator[tuple[str, Box]]:
    if guest.vagrant is not None:
        yield from guest.vagrant.boxes.items()


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(Places(tmp_path / "cache", tmp_path / "state"), lambda name: tmp_path / name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_has_guests_of_its_name(system: str) -> None:
    def never(guest: Guest) -> bool:
        raise AssertionError("asked for nothing")

    found = select(FILES, [system], never)
    assert found
    assert {guest.system for guest in found} == {SYSTEMS[system][1]}
    assert all(guest.name.startswith(f"{system}-") for guest in found)


def test_there_are_no_other_systems() -> None:
    assert {guest.system.lower() for guest in FILES.values()} == {*SYSTEMS, "host"}


@pytest.mark.parametrize(
    "name",
    [
        *("linux-3.10", "linux-3.13", "linux-3.16", "linux-4.4", "linux-4.9", "linux-4.19"),
        *("linux-5.10", "linux-6.1", "linux-6.12", "linux-newest", "linux-box"),
        *("freebsd-12", "freebsd-13", "freebsd-13.5", "freebsd-14.0", "freebsd-14.3"),
        *("freebsd-14", "freebsd-15", "dragonfly-6.4"),
        *("openbsd-7.8", "openbsd-7.9", "omnios-r151058"),
        *("netbsd-9", "netbsd-10", "netbsd-11"),
        *("gvisor-20221219", "gvisor-newest"),
        *("macos-13", "macos-14", "macos-15", "macos-26", "macos-27"),
        *("macos-13-intel", "macos-14-intel", "macos-15-intel", "host"),
    ],
)
def test_releases_lie_on_both_sides_of_each_change(name: str) -> None:
    assert name in FILES


@every_guest
def test_a_guest_has_a_way(guest: Guest) -> None:
    assert guest.host or guest.gvisor or guest.qemu or guest.vagrant


@every_guest
def test_an_address_says_whether_it_was_checked(guest: Guest) -> None:
    said: list[Box | Image] = [box for _, box in boxes(guest) if box.made_by is None]
    said += [image for owner, image in images() if owner is guest]
    for one in said:
        assert (one.checked is not None) != one.unchecked, one
        if one.checked is not None:
            assert date.fromisoformat(one.checked.on) <= date.today()
            assert one.checked.how


@every_guest
def test_what_is_made_here_has_no_address(guest: Guest) -> None:
    for _, box in boxes(guest):
        if box.made_by is not None:
            assert (box.url, box.version, box.checked, box.unchecked) == (None, None, None, False)


@pytest.mark.parametrize(
    ("guest", "image"), [*images()], ids=lambda value: getattr(value, "name", "")
)
def test_an_image_is_its_vendors_and_verified_or_comes_with_its_key(
    guest: Guest, image: Image
) -> None:
    ways = [image.sha256, image.sha512, image.checksums]
    if image.key is not None:
        assert image.url.startswith(PUBLISHER)
        assert image.key == image.url.replace(".qcow2.zst", "-host.id_rsa")
        assert not any(ways)  # this publisher has no checksums
        return
    for address in filter(None, (image.url, image.checksums)):
        parts = urlsplit(address)
        assert (parts.scheme, parts.hostname in VENDORS) == ("https", True)
    assert sum(way is not None for way in ways) == 1


@pytest.mark.parametrize("system", ARTICLE)
def test_every_system_of_the_article_needs_neither_vagrant_nor_a_hand(system: str) -> None:
    for guest in (one for one in FILES.values() if one.system == system):
        if guest.name == "linux-box":  # a box, made here for Vagrant
            continue
        qemu = guest.qemu
        assert qemu is not None, guest.name
        way_in = qemu.seed or qemu.types("public_key") or (qemu.image and qemu.image.key)
        assert qemu.debian or (qemu.image and way_in), guest.name


def test_a_console_that_is_typed_on_ends_with_our_key_and_an_ssh_server() -> None:
    typed = [guest.qemu for guest in FILES.values() if guest.qemu and guest.qemu.console]
    assert len(typed) >= 8
    for qemu in typed:
        last = qemu.console[-1].send or ""
        assert "{public_key}" in last
        assert "sshd" in last


def test_no_two_releases_share_an_image_or_a_box() -> None:
    used = Counter(image.url for _, image in images())
    for guest in FILES.values():
        used.update(f"{by} {box.box} {box.version}" for by, box in boxes(guest))
    assert [one for one, times in used.items() if times > 1] == []


@every_guest
def test_a_box_of_a_catalogue_is_pinned(guest: Guest) -> None:
    for provider, box in boxes(guest):
        if box.made_by is None and provider != "tart":  # a registry's image carries its own tag
            assert box.version is not None
        if provider == "tart":
            assert re.fullmatch(r"ghcr\.io/[a-z]+/[a-z-]+:[a-z0-9.]+", box.box)


@every_guest
def test_vagrant_need_not_find_out_the_system(guest: Guest) -> None:
    if guest.vagrant is not None:
        assert guest.vagrant.guest is not None, SLOW_TO_DETECT


@every_guest
def test_tunables_are_names_each_once(guest: Guest) -> None:
    assert len(set(guest.tunables)) == len(guest.tunables)
    for name in guest.tunables:
        assert re.fullmatch(r"[a-z0-9_]+(\.[A-Za-z0-9_]+)+", name)
    if guest.system != "host":
        assert bool(guest.tunables) == (guest.system not in UNREADABLE)


@every_guest
def test_the_agent_is_for_the_guest_and_compiled_in_ci(guest: Guest) -> None:
    if guest.agent.target is None:
        assert guest.agent.build == "guest-cc"
        return
    if guest.agent.target == "host":
        assert guest.host or guest.gvisor, "it runs this machine's programs"
        return
    system, _ = SYSTEMS[guest.system.lower()]
    assert guest.agent.target == f"{guest.architecture}-{system}"
    assert guest.agent.target in compiled_targets()


def compiled_targets() -> tuple[str, ...]:
    """Return the table of the live test; that module is not importable from here."""
    source = (Path(__file__).parent / "vm" / "test_agent_targets.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TARGETS":
            return tuple(ast.literal_eval(node.value))
    raise AssertionError("test_agent_targets.py has no TARGETS")


def test_dragonfly_never_has_the_card_that_hangs_its_boot() -> None:
    found = [guest for guest in FILES.values() if guest.system == "DragonFly"]
    for guest in found:
        assert guest.vagrant is None or guest.vagrant.nic == "e1000"
        assert guest.qemu is None or guest.qemu.nic == "e1000"


def examples() -> list[str]:
    """Return the guest files that docs/guests.md shows, fenced or indented."""
    page = (Path(__file__).parent.parent / "docs" / "guests.md").read_text()
    fenced = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^    .*\n)+", page, re.MULTILINE)
    blocks = [*fenced, *map(textwrap.dedent, indented)]
    return [block for block in blocks if re.match(r"(#.*\n)?(name|system):", block)]


def test_the_examples_of_the_page_are_right(tmp_path: Path) -> None:
    found = examples()
    assert len(found) >= 4
    for number, text in enumerate(found):
        (tmp_path / f"{number}.yaml").write_text(text)
    wanted = {"freebsd-mine", "freebsd-typed", "linux-mine", "openbsd-ready", "mac-mini"}
    assert wanted <= set(guests.load([tmp_path]))


def test_the_page_speaks_of_every_guest() -> None:
    page = (Path(__file__).parent.parent / "docs" / "guests.md").read_text()
    for name in FILES:
        system, _, release = name.partition("-")
        written = (f"`{name}`", f"`-{release}`")
        assert system == "host" or any(form in page for form in written), name


MACS = [guest for guest in FILES.values() if guest.system == "macOS"]


@pytest.mark.parametrize("guest", MACS, ids=lambda guest: guest.name)
def test_macos_is_refused_off_apples_hardware_in_a_sentence(
    guest: Guest, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "Linux", "x86_64", "6.1.0")
    with pytest.raises(NotRunError, match=LICENCE) as caught:
        choose(guest, workshop)
    assert "ssh" in str(caught.value.hint)
    assert {LICENCE in str(offer.refusal) for offer in offers(guest, workshop)} == {True}


@pytest.mark.parametrize(
    ("machine", "release", "name"),
    [
        ("arm64", "22.6.0", "macos-13"),
        ("arm64", "23.6.0", "macos-14"),
        ("arm64", "24.3.0", "macos-15"),
        ("arm64", "25.0.0", "macos-26"),
        ("arm64", "26.1.0", "macos-27"),
        ("x86_64", "22.6.0", "macos-13-intel"),
        ("x86_64", "24.3.0", "macos-15-intel"),
    ],
)
def test_a_mac_is_the_guest_of_its_own_release_only(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, machine: str, release: str, name: str
) -> None:
    pretend(monkeypatch, "Darwin", machine, release)
    found = [
        guest.name
        for guest in MACS
        if any(offer.refusal is None for offer in offers(guest, workshop, "host"))
    ]
    assert found == [name]


def pretend(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, release: str) -> None:
    """Make this machine another one, as far as Python's platform module says."""
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(architecture, "KERNEL", Path("/none"))
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "release", lambda: release)
