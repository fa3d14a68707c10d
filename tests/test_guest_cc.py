"""The guest's own compiler makes the agent once; what it made is kept, and offered to few."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.agent import Builder, elf, shelf
from harness.agent.shelf import Home, Shelf
from harness.errors import AgentError, Phase
from harness.machine import cache
from harness.machine.files import recall
from harness.machine.places import Places
from harness.model import AgentSource, Guest
from harness.model.guest import Host
from harness.transport import LocalTransport

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")

SOURCE = "int main(void) { return 77; }\n"

TOOLS = ("sh", "mkdir", "chmod", "rm", "id", "cat", "mv", "wc", "tar", "as", "ld")

CC = str(shutil.which("cc"))

NO_STATIC = f"""#!/bin/sh
case "$*" in *-static*) {{static}};; esac
exec {CC} "$@"
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "cache", tmp_path / "state")


@pytest.fixture
def builder(tmp_path: Path, places: Places) -> Builder:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "main.c").write_text(SOURCE)
    return Builder(places, sources)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for /tmp; nothing may be left in it."""
    made = tmp_path / "first"
    made.mkdir()
    monkeypatch.setattr("harness.transport.local.TEMPORARY", (str(made),))
    yield
    assert not list(made.iterdir())


class Machine:
    """A guest's system, whose programs a test chooses."""

    def __init__(self, folder: Path, cc: str | None, release: str = "6.4-RELEASE") -> None:
        self.folder = folder
        self.log = folder / "log"
        folder.mkdir(exist_ok=True)
        for name in TOOLS:
            if not (folder / name).exists():
                (folder / name).symlink_to(str(shutil.which(name)))
        self.script("uname", f'[ "$1" = -r ] && echo {release} || exec /usr/bin/uname "$@"\n')
        (folder / "cc").unlink(missing_ok=True)
        if cc is not None:
            self.script("cc", f"echo called >> {self.log}\n{cc}")

    def script(self, name: str, text: str) -> None:
        """Put a program into the system."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def transport(self, provenance: Mapping[str, str]) -> LocalTransport:
        return LocalTransport(["env", f"PATH={self.folder}"], provenance)

    @property
    def compiled(self) -> bool:
        """Whether the compiler was called since this was last asked."""
        called = self.log.exists()
        self.log.unlink(missing_ok=True)
        return called


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "bin", f'exec {CC} "$@"\n')


def run(
    builder: Builder,
    machine: Machine,
    name: str = "dragonfly-6.4",
    *,
    compiled_in: str | None = None,
    **provenance: str,
) -> Mapping[str, str]:
    """Install the agent, vouch for it, and return what the record keeps of it."""
    source = AgentSource(build="guest-cc", compiled_in=compiled_in)
    guest = Guest(name, "DragonFly", source, host=Host())
    with builder.installed(guest, machine.transport(provenance)) as agent:
        agent.vouch()
        return agent.provenance


def without_cc(machine: Machine, release: str = "6.4-RELEASE") -> Machine:
    """Return the same machine after its compiler was removed."""
    return Machine(machine.folder, None, release)


def entries(places: Places) -> list[Path]:
    return list(places.folder(shelf.NAME).iterdir())


def test_what_a_guest_compiled_runs_in_it_next_time_without_a_compiler(
    builder: Builder, machine: Machine, places: Places
) -> None:
    first = run(builder, machine)
    assert machine.compiled
    assert first["agent"] == "compiled in the guest"
    (entry,) = entries(places)
    second = run(builder, without_cc(machine))
    assert second["agent_sha256"] == first["agent_sha256"]
    assert second["agent"].startswith("compiled in dragonfly-6.4 (6.4-RELEASE) on 20")
    assert [item.path for item in cache.items(places, (shelf.NAME,))] == [entry]
    assert (entry / "agent").stat().st_mode & 0o777 == 0o600, "no program on this machine"


def test_a_guest_that_has_a_kept_agent_does_not_compile(builder: Builder, machine: Machine) -> None:
    run(builder, machine)
    assert machine.compiled
    run(builder, machine)
    assert not machine.compiled


def test_it_is_static_where_that_works(builder: Builder, machine: Machine, places: Places) -> None:
    source = machine.folder / "try.c"
    source.write_text(SOURCE)
    argv = [CC, "-static", "-o", str(machine.folder / "try"), str(source)]
    if LocalTransport().run(argv, timeout=60).status != 0:
        pytest.skip("no static libc here")
    run(builder, machine)
    (entry,) = entries(places)
    assert elf.libraries((entry / "agent").read_bytes()) == []


@pytest.mark.parametrize(
    "static",
    ["exit 1", r"printf '#!/bin/sh\nexit 1\n' > agent; chmod 700 agent; exit 0"],
    ids=["does not link", "does not run"],
)
def test_where_a_static_one_does_not_work_it_is_dynamic(
    builder: Builder, machine: Machine, places: Places, static: str
) -> None:
    machine.script("cc", NO_STATIC.format(static=static))
    run(builder, machine)
    (entry,) = entries(places)
    assert elf.libraries((entry / "agent").read_bytes())


@pytest.mark.parametrize(
    ("name", "provenance"),
    [("dragonfly-other", {}), ("dragonfly-6.4", {"disk_sha256": "another image"})],
    ids=["another guest", "another image"],
)
def test_it_is_offered_to_no_other_guest_or_image(
    builder: Builder, machine: Machine, name: str, provenance: Mapping[str, str]
) -> None:
    run(builder, machine)
    with pytest.raises(AgentError, match="no kept agent: none was kept") as caught:
        run(builder, without_cc(machine), name, **provenance)
    assert caught.value.phase is Phase.BUILD
    assert "compiled_in: GUEST" in str(caught.value.hint)


def test_a_guest_file_may_name_the_guest_that_compiles_for_it(
    builder: Builder, machine: Machine
) -> None:
    made = run(builder, machine)
    without_cc(machine, "6.5-DEVELOPMENT")
    used = run(builder, machine, "mine", compiled_in="dragonfly-6.4", disk_sha256="other")
    assert used["agent_sha256"] == made["agent_sha256"]
    assert "compiled in dragonfly-6.4 (6.4-RELEASE)" in used["agent"]


def test_why_that_of_a_named_guest_is_not_taken(builder: Builder, machine: Machine) -> None:
    run(builder, machine)
    without_cc(machine, "6.2-RELEASE")
    why = "that of dragonfly-6.4 does not fit: it was compiled in release 6.4-RELEASE, and this is"
    with pytest.raises(AgentError, match=why):
        run(builder, machine, "mine", compiled_in="dragonfly-6.4")
    with pytest.raises(AgentError, match="none was kept from netbsd-9"):
        run(builder, machine, "mine", compiled_in="netbsd-9")


@pytest.mark.parametrize(
    ("builder_release", "release", "fits"),
    [
        ("6.4-RELEASE", "6.4-RELEASE", True),
        ("6.4-RELEASE", "6.5-DEVELOPMENT", True),
        ("9.3", "10.1_STABLE", True),
        ("10.1", "9.3", False),
        ("13.2-RELEASE-p1", "13.1-RELEASE", False),
        ("odd", "odd", True),
        ("odd", "6.4", False),
        ("6.4", "", False),
    ],
)
def test_the_kernel_is_not_older_than_the_one_it_was_compiled_on(
    builder_release: str, release: str, fits: bool
) -> None:
    made = Home("a", "i", "s", "NetBSD amd64", builder_release)
    assert (Home("a", "i", "s", "NetBSD amd64", release).why_not(made) is None) is fits
    assert Home("a", "i", "s", "NetBSD i386", builder_release).why_not(made) is not None


def test_a_kept_agent_that_does_not_run_is_compiled_again_and_replaced(
    builder: Builder, machine: Machine, places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    run(builder, machine)
    (entry,) = entries(places)
    kept = recall(entry / "about.json", shelf.Kept)
    assert kept is not None
    Shelf(places).keep(b"\x7fELF of no machine", kept.home)
    assert machine.compiled
    assert run(builder, machine)["agent"] == "compiled in the guest"
    assert machine.compiled
    assert "does not run here" in caplog.text
    assert "its own cc compiles" in caplog.text
    run(builder, without_cc(machine))


def test_a_damaged_one_is_not_offered(builder: Builder, machine: Machine, places: Places) -> None:
    run(builder, machine)
    (entry,) = entries(places)
    with (entry / "agent").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    with pytest.raises(AgentError, match=r"that of dragonfly-6\.4 is damaged"):
        run(builder, without_cc(machine))


def test_other_sources_are_compiled(builder: Builder, machine: Machine, tmp_path: Path) -> None:
    run(builder, machine)
    (tmp_path / "sources" / "main.c").write_text(f"/* changed */\n{SOURCE}")
    with pytest.raises(AgentError, match="has no `cc`"):
        run(builder, without_cc(machine))


def test_too_much_or_no_program_is_not_kept(
    builder: Builder, machine: Machine, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest decides what `cat` brings, so a hostile one may bring anything."""
    monkeypatch.setattr(shelf, "LIMIT", 1000)
    assert run(builder, machine)["agent"] == "sources, compiled in the guest"
    monkeypatch.undo()
    (machine.folder / "cat").unlink()
    for text in ("echo hello", "head -c 9000000 /dev/zero", "exit 1"):
        machine.script("cat", f"PATH=/usr/bin:/bin\n{text}\n")
        run(builder, machine, "hostile")
    assert entries(places) == []


@pytest.mark.parametrize("missing", ["cc", "tar"])
def test_a_guest_without_what_compiles_is_told_what_to_do(
    builder: Builder, machine: Machine, missing: str
) -> None:
    (machine.folder / missing).unlink()
    with pytest.raises(AgentError, match=f"the guest has no `{missing}`") as caught:
        run(builder, machine)
    assert caught.value.phase is Phase.BUILD
    assert "`target`" in str(caught.value.hint)


def test_sources_that_do_not_compile_in_the_guest_say_why(
    builder: Builder, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "sources" / "main.c").write_text("int main(void) { return nonsense; }\n")
    with pytest.raises(AgentError, match="nonsense") as caught:
        run(builder, machine)
    assert caught.value.phase is Phase.BUILD


def test_the_same_sources_give_the_same_archive(builder: Builder) -> None:
    assert builder.archive() == builder.archive()
