"""The errors of the harness. The class decides the state of a cell, or the exit status."""

from collections.abc import Collection
from enum import StrEnum


class Phase(StrEnum):
    """The step in a guest's life in which something happened."""

    IMAGE = "image"
    BUILD = "build"
    BOOT = "boot"
    CONNECT = "connect"
    PUSH = "push"
    VOUCH = "vouch"
    FACTS = "facts"
    SCENARIO = "scenario"
    DESTROY = "destroy"


class HarnessError(Exception):
    """An error that is reported as one sentence; `hint` tells the user what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(HarnessError):
    """The command was used wrongly: an unknown name, a bad option. Exit 2."""


class FileError(UsageError):
    """A file that the user named is wrong. The message starts with `file:line:`. Exit 2."""

    def __init__(
        self, path: object, line: int | None, message: str, *, hint: str | None = None
    ) -> None:
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {message}", hint=hint)


class NotRunError(HarnessError):
    """This machine cannot start the guest at all (no image, no hypervisor): state `not-run`."""


CONSOLE_LINES = 12
"""How many lines are shown from the end of a failed guest's console."""


class InfrastructureError(HarnessError):
    """The harness or the guest failed, not the kernel under test: state `infrastructure`.

    `phase` is the step that failed. `console` is the end of the guest's console, or empty if it has
    none. `seconds` is the time since the phase began; the engine sets it.
    """

    seconds: float | None = None

    def __init__(
        self,
        phase: Phase,
        message: str,
        *,
        hint: str | None = None,
        console: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.phase = phase
        self.console = console

    @property
    def last_lines(self) -> list[str]:
        """The lines of the console that are shown."""
        return self.console.splitlines()[-CONSOLE_LINES:]


class ImageError(InfrastructureError):
    """An image or package could not be obtained, or its sha256 is wrong."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(Phase.IMAGE, message, hint=hint)


class BootError(InfrastructureError):
    """The guest did not come up."""

    def __init__(self, message: str, *, hint: str | None = None, console: str = "") -> None:
        super().__init__(Phase.BOOT, message, hint=hint, console=console)


class GuestLostError(InfrastructureError):
    """The guest was up and is gone (SSH reset, QEMU ended, panic). It must be booted again."""


class ElsewhereError(InfrastructureError):
    """The guest must be measured on another machine. That is no fault of the guest.

    `answered` are the cells that it has answered; the engine sets it.
    """

    answered: Collection[object] = ()


class MachineLostError(ElsewhereError):
    """The machine of a cluster that ran the guest is gone."""


class CopyDiffersError(ElsewhereError):
    """A copy of a guest is not what the other copies are."""


class CommandTimeoutError(InfrastructureError):
    """A command in the guest did not end in time. The guest itself may still work."""


class AgentError(InfrastructureError):
    """The agent could not be built, is not the right program, or gave an invalid answer."""
