"""The key `qemu.console` of a guest file: its steps, and what is wrong with them."""

import json
from pathlib import Path

import pytest

from harness import guests
from harness.errors import FileError
from harness.model import Guest
from harness.model.console_step import ConsoleStep
from harness.model.keyboard import CHARACTERS, key_of

RECIPE = """\
name: g
system: NetBSD
agent: {target: x86_64-netbsd}
qemu:
  disk: a.img
  console:
    - {wait: "login:", send: root}
    - match: '[#%] $'
      on: screen
      timeout: 5
      send: |
        cat >~/.ssh/authorized_keys <<E
        {public_key}
        E
    - {wait: Boot, keys: ["5", enter, ctrl-d]}
    - {wait: "Password:", send: "vagrant", secret: true}
"""


def load(folder: Path, text: str) -> Guest:
    (folder / "x.yaml").write_text(text)
    return guests.load([folder])["g"]


def test_steps_are_read(tmp_path: Path) -> None:
    qemu = load(tmp_path, RECIPE).qemu
    assert qemu is not None
    first, second, third, fourth = qemu.console
    assert first == ConsoleStep(wait="login:", send="root")
    assert (second.match, second.on, second.timeout) == ("[#%] $", "screen", 5)
    assert third.keys == ("5", "enter", "ctrl-d")
    assert fourth.secret
    assert (qemu.types("public_key"), qemu.types("host_key")) == (True, False)
    assert qemu.typing_seconds == 60 + 5 + 60 + 60


def one(step: str, source: str = "disk: d") -> str:
    return f"name: g\nsystem: s\nagent: {{target: a}}\nqemu:\n  {source}\n  console:\n  - {step}\n"


MISTAKES = [
    ("{send: root}", 7, "expected one of `wait` and `match`; got []"),
    ("{wait: a, match: b}", 7, "got ['wait', 'match']"),
    ("{wait: ' '}", 7, "`qemu.console[0].wait`: expected a text that is not empty"),
    ("{match: '('}", 7, "not a regular expression"),
    ("{match: 'a*'}", 7, "matches an empty text"),
    ("{wait: a}\n  - {wait: b, snd: c}", 8, "`snd` is not a key of qemu.console.*"),
    ("{wait: a}\n  - {wait: b, send: 5}", 8, "expected str, got int"),
    ("{wait: a, on: paper}", 7, "expected serial or screen, got 'paper'"),
    ("{wait: a, send: b, keys: [c]}", 7, "exclude each other"),
    ("{wait: a, keys: [hyper]}", 7, "no key is called `hyper`"),
    ("{wait: a, keys: enter}", 7, "expected a list, got str"),
    ("{wait: a, send: grün}", 7, "is not on a US keyboard"),
    ('{wait: a, send: "b\\tc"}', 7, "is not on a US keyboard"),
    ("{wait: a, send: 'echo {private_key}'}", 7, "no placeholder is called {private_key}"),
    ("{wait: a, timeout: 0}", 7, "`qemu.console[0].timeout`: expected 1 or more"),
    ("{wait: a, timeout: .inf}", 7, "expected 1 or more"),
    (f"{{wait: a, send: {'b' * 5000}}}", 7, "more than 4096 characters"),
    ("text", 7, "expected a mapping, got str"),
    ("{wait: a}\n  - {wait: a}" + "\n  - {wait: a}" * 64, 6, "more than 64 steps"),
]


@pytest.mark.parametrize(("step", "line", "said"), MISTAKES, ids=[case[2] for case in MISTAKES])
def test_a_mistake_is_told_with_its_line(tmp_path: Path, step: str, line: int, said: str) -> None:
    with pytest.raises(FileError) as caught:
        load(tmp_path, one(step))
    assert f"x.yaml:{line}: " in str(caught.value)
    assert said in str(caught.value)


def test_the_built_in_initramfs_is_not_typed_on(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="the built-in initramfs needs no typing"):
        load(tmp_path, one("{wait: a}", "kernel: k"))


def test_a_machine_without_a_pcs_screen(tmp_path: Path) -> None:
    assert load(tmp_path, one("{wait: a, on: screen}", "disk: d\n  machine: q35")).qemu
    with pytest.raises(FileError, match=r"x.yaml:8: .*`microvm` has no PC's screen"):
        load(tmp_path, one("{wait: a, on: screen}", "disk: d\n  machine: microvm"))


def test_a_shells_braces_are_no_placeholders(tmp_path: Path) -> None:
    sent = 'echo ${key} {print} "${a}" {public_key}'
    qemu = load(tmp_path, one(f"{{wait: a, send: {json.dumps(sent)}}}")).qemu
    assert qemu is not None
    assert qemu.console[0].send == sent


def test_every_printable_character_is_on_the_keyboard() -> None:
    assert set(CHARACTERS) == {chr(code) for code in range(32, 127)}
    shifted = key_of("A")
    assert shifted is not None
    assert (shifted.serial, shifted.codes) == (b"A", ("shift", "a"))
    control = key_of("ctrl-c")
    assert control is not None
    assert (control.serial, control.codes) == (b"\x03", ("ctrl", "c"))
    assert key_of("ctrl-5") is None
