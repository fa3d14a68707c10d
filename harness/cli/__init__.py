"""The command line: finds the command, runs it, and turns errors into an exit status."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from harness.cli import streams
from harness.cli.exit import (
    ExitStatus,
    complain,
    complain_of,
    complain_of_output,
    complain_of_room,
)
from harness.errors import HarnessError

NAME = "reuseport-matrix"

COMMANDS = {
    "run": "Measure guests and show them side by side.",
    "nightly": "Measure, keep the run, report what changed.",
    "guests": "List the guests and the provider that would start each.",
    "scenarios": "List the questions that each kernel is asked.",
    "servers": "List the servers whose restart can be measured.",
    "explain": "Say what a word of the matrix means for a server.",
    "claims": "Show which claims the measurements confirm.",
    "doctor": "Test this machine's hypervisor, show what is missing.",
    "report": "Show a run as a table, a page or data.",
    "diff": "Show what changed between runs, or between releases.",
    "merge": "Combine the runs of several machines.",
    "history": "Show how each cell changed over many runs.",
    "judge": "Judge a run's recordings again, without guests.",
    "shell": "Log in to a guest.",
    "exec": "Run a command in a guest.",
    "gc": "End guests left over from runs that have ended.",
    "stop": "End guests that were kept.",
}
"""Each command's line in the help. Its module has the same name and is imported on demand."""

FUNCTIONS = {"exec": "execute"}
"""Commands whose name Python already uses: the name of their function."""

EPILOG = """\b
Examples:
  reuseport-matrix run                        all guests that can start here, quick catalogue
  reuseport-matrix run host linux-6.12 --full
  reuseport-matrix report DIR --format markdown
  reuseport-matrix diff YESTERDAY TODAY
\b
Completion: add one of these lines to your shell's start-up file
  bash  eval "$(_REUSEPORT_MATRIX_COMPLETE=bash_source reuseport-matrix)"
  zsh   eval "$(_REUSEPORT_MATRIX_COMPLETE=zsh_source reuseport-matrix)"
  fish  _REUSEPORT_MATRIX_COMPLETE=fish_source reuseport-matrix | source
\b
Exit status: 0 every cell was asked and got an answer, also one that is inconclusive
(--strict: 3 then); 1 a verdict differs from the baseline or from the older run; 2 wrong usage
or a bad file; 3 something could not be measured; 70 a bug in this program, its traceback is kept;
130 interrupted, measured cells are kept.
"""


class LazyGroup(click.Group):
    """Commands by name. A command's module is imported only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which you are likely to use them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if it does not exist."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.{cmd_name}")
        command = getattr(module, FUNCTIONS.get(cmd_name, cmd_name))
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands; click would import every module to get its sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; raise `UsageError` with the nearest names for an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from harness.run.nearest import unknown  # difflib: 5 ms, for a mistake only

            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)


def _say_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from harness.machine.version import version  # reads the package's metadata: 20 ms

        click.echo(f"{NAME} {version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_say_version)
@click.pass_context
def group(ctx: click.Context) -> int:
    """Show what real kernels do when several sockets share one port.

    Boots one guest per kernel and runs a small agent in it. The agent observes which listener is
    served and what clients lose when a listener fails. The answers are judged here and shown side
    by side. Data goes to standard output, messages to standard error.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return ExitStatus.USAGE
    return ExitStatus.OK


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its status."""
    streams.prepare()
    sys.exit(_guarded(lambda: group.main(arguments, prog_name=NAME, standalone_mode=False)))


def _guarded(command: Callable[[], object]) -> int:
    """Run a command and return its exit status, even if this program has a bug."""
    try:
        return _answered(command)
    except Exception as exc:  # noqa: BLE001  # the only place: nothing is above that could handle it
        from harness.cli.crash import complain_of_bug  # tempfile, platform: for a bug only

        complain_of_bug(exc)
        return ExitStatus.CRASHED


def _answered(command: Callable[[], object]) -> int:
    """Run a command; print one sentence if an error stops it, and return the exit status."""
    try:
        status = command()
        sys.stdout.flush()
    except click.ClickException as exc:
        context = exc.ctx if isinstance(exc, click.UsageError) else None
        hint = f"{context.command_path} --help" if context is not None else None
        complain(exc.format_message(), hint=hint)
        return ExitStatus.USAGE
    except HarnessError as exc:
        complain_of(exc)
        return ExitStatus.of(exc)
    except (click.Abort, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    except SystemExit as exc:
        # click exits with 1 on a broken pipe, even with standalone_mode=False (BaseCommand.main);
        # here 1 means that a verdict differs. The commands of this program return their status and
        # never exit, so a 1 can only come from click.
        if exc.code != 1:
            raise
        return _unread()
    except OSError as exc:
        return _of_files(exc)
    return status if isinstance(status, int) else ExitStatus.OK


def _of_files(exc: OSError) -> int:
    """Return the status for a file that cannot be written, or for a reader that went away."""
    if isinstance(exc, BrokenPipeError):
        return _unread()
    if exc.filename == streams.OUTPUT:
        streams.drop_output()
        complain_of_output(exc)
    elif not complain_of_room(exc):
        raise exc
    return ExitStatus.USAGE


def _unread() -> int:
    """Return success: the reader closed the pipe (`| head`), which is not a failure."""
    streams.drop_output()
    return ExitStatus.OK
