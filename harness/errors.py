"""What is raised; the class says which state of a cell, or which exit status, follows."""

from enum import StrEnum


class Phase(StrEnum):
    """Where in a guest's life something happened."""

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
    """Anything the harness reports in a sentence; `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(HarnessError):
    """The question was wrong: an unknown name, a bad option. Exit 2."""


class FileError(UsageError):
    """A file of the user's is wrong: the message starts with `file:line:`. Exit 2."""

    def __init__(
        self, path: object, line: int | None, message: str, *, hint: str | None = None
    ) -> None:
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {message}", hint=hint)


class NotRunError(HarnessError):
    """This machine cannot start the guest at all (no image, no hypervisor): state `not-run`."""


CONSOLE_LINES = 12
"""Of the end of a failed guest's console, how many are shown."""


class InfrastructureError(HarnessError):
    """The harness or the guest failed, not the kernel under test: state `infrastructure`.

    `phase` is where; `console` is the tail of what the guest printed, where somebody reads that;
    `seconds` how long the phase had lasted, once somebody who knows has caught it.
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
        """What is shown of the console."""
        return self.console.splitlines()[-CONSOLE_LINES:]


class ImageError(InfrastructureError):
    """An image or package could not be had, or its sha256 is not the expected one."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(Phase.IMAGE, message, hint=hint)


class BootError(InfrastructureError):
    """The guest did not come up."""

    def __init__(self, message: str, *, hint: str | None = None, console: str = "") -> None:
        super().__init__(Phase.BOOT, message, hint=hint, console=console)


class GuestLostError(InfrastructureError):
    """The guest was there and is gone (SSH reset, QEMU ended, panic): boot afresh."""


class CommandTimeoutError(InfrastructureError):
    """A command in the guest did not end in time; the guest may still be well."""


class AgentError(InfrastructureError):
    """The agent could not be built, is not ours, or spoke rubbish."""
