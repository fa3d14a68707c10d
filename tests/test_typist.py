"""Typing on consoles that lose characters, interrupt, repeat, refuse and flood."""

import time
from collections.abc import Sequence

import pytest
from fake_console import Answer, FakeConsole, FakeLog

from harness.deadline import Deadline
from harness.errors import BootError
from harness.model.console_step import ConsoleStep
from harness.providers.qemu.typed_console import face
from harness.providers.qemu.typed_console.typist import Typist

LOGIN = ConsoleStep(wait="login: ", send="root", timeout=2)
SHELL = ConsoleStep(match=r"# \Z", send="echo done", timeout=2)
DONE = ConsoleStep(match=r"(?m)^done", timeout=2)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnop"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "ECHO_SECONDS", 0.1)
    monkeypatch.setattr(face, "ECHO_POLL", 0.001)
    monkeypatch.setattr(face, "QUIET_SECONDS", 0.01)


def carry_out(console: FakeConsole, *steps: ConsoleStep, log: FakeLog | None = None) -> None:
    values = {"public_key": KEY, "host_key": "-----BEGIN X-----\nabcdefghijklmnopqrstuvwxyz\n"}
    typist = Typist({"serial": console}, log or FakeLog(), values, 1.0, lambda: None)
    typist.carry_out(steps, Deadline(20))


def failure(console: FakeConsole, *steps: ConsoleStep) -> BootError:
    with pytest.raises(BootError) as caught:
        carry_out(console, *steps)
    return caught.value


def system(line: str) -> str:
    """Answer as a system without a password does."""
    return {"root": "Last login: Mon\r\nbox# ", "echo done": "done\r\nbox# "}.get(line, "login: ")


def answers(*said: str) -> Answer:
    """Return what answers each line with the next text."""
    left = iter(said)
    return lambda _: next(left)


def test_each_step_is_answered() -> None:
    console, log = FakeConsole("Booting\r\n\r\nlogin: ", system), FakeLog()
    carry_out(console, LOGIN, SHELL, DONE, log=log)
    assert console.entered == ["root", "echo done"]
    assert log.remarks == [
        "console step 1: saw `login:`, types `root`",
        "console step 2: saw `#`, types `echo done`",
        "console step 3: saw `done`, types nothing",
    ]


@pytest.mark.parametrize("lost", [[0], [1], [3], [0, 1, 2, 3], [2, 6], [4]])
def test_a_line_that_loses_characters_is_typed_again(lost: Sequence[int]) -> None:
    console = FakeConsole("login: ", system, lost=lost)
    carry_out(console, LOGIN, SHELL, DONE)
    assert console.entered == ["root", "echo done"]


def test_a_terminal_without_an_echo_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "ECHO_SECONDS", 0.02)
    console = FakeConsole("login: ", system)
    console.echo = False
    error = failure(console, LOGIN)
    assert "console step 1: typed 4 times" in str(error)
    assert "`secret: true`" in str(error.hint)
    assert console.entered == []


def test_a_kernels_message_within_what_is_typed_costs_another_try() -> None:
    console = FakeConsole("login: ", system, noise={1: "\r\nusb 1-1: new device\r\n"})
    carry_out(console, LOGIN, SHELL, DONE)
    assert console.entered == ["root", "echo done"]


@pytest.mark.parametrize(
    "prompt",
    ["lo[    5.1] usb 1-1: new\r\ngin: ", "logi\nem0: link state\nem0: up\nn: ", "l\nx\nogin: "],
)
def test_a_kernels_message_within_a_prompt(prompt: str) -> None:
    carry_out(FakeConsole(f"box {prompt}", system), LOGIN, SHELL, DONE)


def test_a_kernels_message_behind_a_prompt() -> None:
    console = FakeConsole("login: ", answers("box# [    9.1] random: done\r\n", "done\r\n"))
    carry_out(console, LOGIN, SHELL, DONE)


def test_a_prompt_that_never_comes_is_told_with_its_step() -> None:
    steps = (LOGIN, ConsoleStep(wait="%", timeout=1))
    began = time.monotonic()
    error = failure(FakeConsole("login: ", system), *steps)
    assert time.monotonic() - began < 2
    assert str(error) == "console step 2: `%` did not come on the serial line within 1 s"
    assert "`timeout`" in str(error.hint)


def test_a_login_prompt_that_comes_twice_is_answered_twice() -> None:
    console = FakeConsole("login: ", answers("\r\nlogin: ", "box# ", "done\r\n"))
    carry_out(console, LOGIN, SHELL, DONE)
    assert console.entered == ["root", "root", "echo done"]


def test_two_prompts_at_once_are_one() -> None:
    carry_out(FakeConsole("login: \r\nlogin: ", system), LOGIN, SHELL, DONE)


def test_a_login_prompt_that_comes_again_and_again_ends_it() -> None:
    console = FakeConsole("login: ", lambda _: "\r\nlogin: ")
    error = failure(console, LOGIN, SHELL)
    assert "the guest asks who logs in again, 3 times answered" in str(error)
    assert console.entered == ["root"] * 3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Login incorrect\r\nlogin: ", "refuses the login"),
        ("You must choose.\r\nNew password: ", "asks for a new password"),
        ("Your password has expired\r\n", "asks for a new password"),
        ("Password: ", "asks for a password"),
        ("\r\npanic: kernel trap\r\n", "panicked"),
        ("\r\nstopped\r\ndb{0}> ", "waits in its debugger"),
        ("\r\nmountroot> ", "waits in its debugger"),
    ],
)
def test_a_guest_that_refuses_ends_it_at_once(said: str, why: str) -> None:
    began = time.monotonic()
    error = failure(FakeConsole("login: ", lambda _: said), LOGIN, SHELL)
    assert time.monotonic() - began < 1
    assert str(error).startswith(f"console step 2: the guest {why} (")


def test_what_a_step_waits_for_is_no_refusal() -> None:
    console = FakeConsole("login: ", answers("Password: ", "box# "))
    password = ConsoleStep(wait="assword:", send="published", secret=True, timeout=2)
    carry_out(console, LOGIN, password, ConsoleStep(match=r"# \Z", timeout=2))
    assert console.entered == ["root", "published"]


def test_the_last_login_is_no_prompt() -> None:
    console = FakeConsole("login: ", lambda _: "Last login:")
    log = FakeLog()
    with pytest.raises(BootError, match="did not come"):
        carry_out(console, LOGIN, ConsoleStep(wait="# ", timeout=1), log=log)
    assert console.entered == ["root"]


def test_a_step_does_not_match_its_own_echo() -> None:
    error = failure(
        FakeConsole("box# ", lambda _: ""),
        ConsoleStep(wait="# ", send="echo done"),
        ConsoleStep(wait="done", timeout=1),
    )
    assert "step 2: `done` did not come" in str(error)


def test_a_step_does_not_match_an_echo_that_comes_again() -> None:
    console = FakeConsole("box# ", answers("", "box# echo done\r\n"))
    first = ConsoleStep(wait="# ", send="sleep 9\necho done\n")
    assert "did not come" in str(failure(console, first, ConsoleStep(wait="done", timeout=1)))
    assert console.entered == ["sleep 9", "echo done"]


def test_keys_have_no_enter_and_their_echo_is_no_answer() -> None:
    console = FakeConsole("Option: ", lambda _: "")
    error = failure(
        console,
        ConsoleStep(wait="Option:", keys=("5", "space", "a")),
        ConsoleStep(wait="5", timeout=1),
    )
    assert "step 2" in str(error)
    assert console.entered == []
    console = FakeConsole("Option: ", lambda line: f"took {line}\r\n")
    carry_out(
        console,
        ConsoleStep(wait="Option:", keys=("5", "enter")),
        ConsoleStep(wait="took 5", timeout=1),
    )


def test_placeholders_are_typed_and_hidden() -> None:
    console, log = FakeConsole("# ", lambda _: "> "), FakeLog()
    steps = (
        ConsoleStep(wait="# ", send="cat <<E\n{public_key}\n{host_key}\n${public_key\nE\n"),
        ConsoleStep(wait="> "),
    )
    carry_out(console, *steps, log=log)
    assert console.entered == [
        "cat <<E",
        KEY,
        "-----BEGIN X-----",
        "abcdefghijklmnopqrstuvwxyz",
        "${public_key",
        "E",
    ]
    assert {KEY.split()[1], "abcdefghijklmnopqrstuvwxyz"} <= set(log.hidden)
    assert not any("AAAA" in remark or "abcd" in remark for remark in log.remarks)


def test_a_password_is_hidden_even_if_it_is_echoed() -> None:
    console, log = FakeConsole("Password: ", lambda _: "# "), FakeLog()
    password = ConsoleStep(wait="Password: ", send="secret", secret=True)
    carry_out(console, password, ConsoleStep(wait="# "), log=log)
    assert "secret" in log.hidden
    assert log.remarks[0] == "console step 1: saw `Password:`, types a secret"


def test_a_flood_with_escapes_ends_with_the_step() -> None:
    class Flood(FakeConsole):
        def read(self) -> str:
            return super().read() + "\x1b[31m\x1b]0;title\x07logn\r\n\x1b[" * 4000

    began = time.monotonic()
    error = failure(Flood("", lambda _: ""), ConsoleStep(wait="login: ", timeout=1))
    assert "did not come" in str(error)
    assert time.monotonic() - began < 5


def test_colours_and_titles_are_no_text() -> None:
    console = FakeConsole("\x1b[1mlo\x1b[0mg\x1b]0;x\x07in: ", lambda _: "\x1b[32mbox\x1b[0m# ")
    carry_out(console, LOGIN, ConsoleStep(match=r"box# \Z", timeout=1))


def test_a_guest_that_dies_ends_it() -> None:
    typist = Typist({"serial": FakeConsole("", system)}, FakeLog(), {}, 1.0, lambda: "QEMU ended")
    with pytest.raises(BootError, match="QEMU ended"):
        typist.carry_out((LOGIN,), Deadline(5))


def test_what_a_screen_showed_is_written_down() -> None:
    console, log = FakeConsole("login: ", system), FakeLog()
    console.stream = False
    carry_out(console, LOGIN, SHELL, DONE, log=log)
    assert log.remarks[0] == "the serial line showed:\nlogin: "
    assert any("Last login: Mon" in remark for remark in log.remarks)


def test_a_prompt_that_comes_again_is_seen_before_a_kernels_message() -> None:
    """On a busy machine: `clocksource: timekeeping watchdog …` behind `login: `."""
    noise = "[   31.120] clocksource: timekeeping watchdog: marking it unstable\r\n"
    console = FakeConsole("\r\nlogin: ", answers(*["\r\nlogin: " + noise] * 3))
    assert "the guest asks who logs in again, 3 times answered" in str(
        failure(console, LOGIN, SHELL)
    )
