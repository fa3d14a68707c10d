"""The consoles of our own guest files, typed on stand-ins that print what public sources show.

No real console of these systems was seen here: NetBSD's boot menu is from sys/arch/i386/stand,
FreeBSD's prompt from stand/i386/gptboot, the live CD's login from DragonFly's nrelease/.
"""

import pytest
from fake_console import FakeConsole, FakeLog
from msgspec import Struct

from harness import guests
from harness.deadline import Deadline
from harness.errors import BootError
from harness.machine.resources import guests_folder
from harness.model.console_step import ConsoleStep
from harness.providers.qemu.typed_console import face
from harness.providers.qemu.typed_console.typist import Typist

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

FILES = guests.load([guests_folder()])

TYPED = sorted(name for name, guest in FILES.items() if guest.qemu and guest.qemu.console)


class Shown(Struct, frozen=True):
    """What a system shows: before its boot loader takes a key, after that key, and its prompts."""

    boot: str = ""
    stopped: str = ""
    menu: tuple[tuple[str, str], ...] = ()
    switch: str = ""
    loader: str = ""
    login: str = "\n\nlogin: "
    prompt: str = "# "


NETBSD = Shown(
    boot="NetBSD/x86 ffsv1 Primary Bootstrap\n\n     1. Boot normally\n     2. Boot single user\n"
    "     3. Drop to boot prompt\n\n"
    "Choose an option; RETURN for default; SPACE to stop countdown.\nOption 1 will be chosen in 5 ",
    stopped="0\n\nOption: [1]:",
    menu=(("3", 'type "?" or "help" for help.\n> '),),
    switch="consdev com0",
    loader="\r\n>> NetBSD/x86 BIOS Boot, Revision 5.11 (from NetBSD 10.1)\r\n"
    ">> Memory: 639/523120 k\r\n> ",
    login="[   1.0000] cpu0 at mainbus0\r\nStarting sshd.\r\n\r\nNetBSD/amd64 (netbsd) (constty)"
    "\r\n\r\nlogin: ",
    prompt="We recommend that you create a non-root account and use su(1) for root access.\r\n"
    "netbsd# ",
)

FREEBSD = Shown(
    boot="SeaBIOS (version 1.16)\n\n\nBooting from Hard Disk...\n",
    stopped="\nFreeBSD/x86 boot\nDefault: 0:ad(0p4)/boot/loader\nboot: ",
    switch="-h",
    login="Loading kernel...\r\n---<<BOOT>>---\r\nStarting devd.\r\n\r\nFreeBSD/amd64 (freebsd) "
    "(ttyu0)\r\n\r\nlogin: ",
    prompt="Welcome to FreeBSD!\r\nroot@freebsd:~ # ",
)

SCREENS = {
    "netbsd-9": Shown(prompt="netbsd# "),
    "dragonfly-6.4": Shown(
        boot="Welcome to DragonFly!\n\nTo start the installer, login as 'installer'.  To just get "
        "a shell prompt,\nlogin as 'root'.\n\nlogin: ",
        prompt="dfly# ",
    ),
}


class Machine:
    """A screen and a serial line, of which one asks for a login once the system has booted."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        here = shown.boot + ("" if shown.switch else shown.login)
        self.serial = FakeConsole("", self.on_serial)
        noise = {0: shown.stopped} if shown.stopped else {}
        self.screen = FakeConsole(here, self.on_screen, noise=noise)
        self.shell: list[str] = []

    def on_screen(self, line: str) -> str:
        """Answer a line on the screen: the boot loader's, or a shell's if it moves nowhere."""
        if not self.shown.switch:
            return self.in_system(line)
        word = line.strip()
        if word == self.shown.switch:
            self.serial.say(self.shown.loader or self.shown.login)
            return ""
        return dict(self.shown.menu)[word]

    def on_serial(self, line: str) -> str:
        """Answer a line on the serial line: `boot` to the loader, or to the system."""
        if line == "boot":
            return self.shown.login
        return self.in_system(line)

    def in_system(self, line: str) -> str:
        """Answer as a login without a password and a shell do."""
        if line != "root" or self.shell:
            self.shell.append(line)
        return self.shown.prompt


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "ECHO_SECONDS", 0.1)
    monkeypatch.setattr(face, "ECHO_POLL", 0.001)
    monkeypatch.setattr(face, "QUIET_SECONDS", 0.01)


def carry_out(machine: Machine, steps: tuple[ConsoleStep, ...]) -> None:
    faces = {"serial": machine.serial, "screen": machine.screen}
    values = {"public_key": KEY, "host_key": ""}
    Typist(faces, FakeLog(), values, 0.02, lambda: None).carry_out(steps, Deadline(20))


@pytest.mark.parametrize("name", TYPED)
def test_a_recipe_plants_our_key_and_starts_the_ssh_server(name: str) -> None:
    shown = SCREENS.get(name) or (NETBSD if name.startswith("netbsd") else FREEBSD)
    qemu = FILES[name].qemu
    assert qemu is not None
    machine = Machine(shown)
    carry_out(machine, qemu.console)
    assert KEY in machine.shell
    assert "sshd" in machine.shell[-1]
    begin = next(line for line in machine.shell if "authorized_keys" in line)
    assert machine.shell[machine.shell.index(begin) + 1 :][:2] == [KEY, "E"]


@pytest.mark.parametrize("name", TYPED)
def test_a_recipe_that_meets_a_password_says_so(name: str) -> None:
    shown = SCREENS.get(name) or (NETBSD if name.startswith("netbsd") else FREEBSD)
    qemu = FILES[name].qemu
    assert qemu is not None
    machine = Machine(shown)
    machine.in_system = lambda line: "Password:"  # type: ignore[method-assign]
    with pytest.raises(BootError, match="asks for a password"):
        carry_out(machine, qemu.console)
