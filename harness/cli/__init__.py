"""The command line: what is asked for, and which exit status tells how it went."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from harness.cli.exit import ExitStatus, complain, complain_of, complain_of_room
from harness.errors import HarnessError

NAME = "reuseport-matrix"

COMMANDS = {
    "run": "Measure guests and show them side by side.",
    "nightly": "Measure, keep the run, say what changed.",
    "guests": "List the guests, and what would start each here.",
    "scenarios": "List what is asked of a kernel.",
    "claims": "Say which claims hold, by what was measured.",
    "doctor": "Test what this machine has, and what it lacks.",
    "report": "Show recordings as a table, a page or data.",
    "diff": "Say what changed between runs, or between releases.",
    "merge": "Join what several machines measured.",
    "history": "Say how each cell went over many runs.",
    "judge": "Judge a run's recordings again; no guest needed.",
    "shell": "Log in to a guest.",
    "exec": "Run a command in a guest.",
    "gc": "End every guest that no living run owns.",
    "stop": "End guests that were kept.",
}
"""Command to its line in the help. Its module has its name, and is imported when it is needed."""

FUNCTIONS = {"exec": "execute"}
"""Commands that share their name with something of Python's."""

EPILOG = """\b
Examples:
  reuseport-matrix run                        what this machine can start, quickly
  reuseport-matrix run host linux-6.12 --full
  reuseport-matrix report DIR --format markdown
  reuseport-matrix diff YESTERDAY TODAY
\b
Completion: put one of these into your shell's start-up file
  bash  eval "$(_REUSEPORT_MATRIX_COMPLETE=bash_source reuseport-matrix)"
  zsh   eval "$(_REUSEPORT_MATRIX_COMPLETE=zsh_source reuseport-matrix)"
  fish  _REUSEPORT_MATRIX_COMPLETE=fish_source reuseport-matrix | source
\b
Exit status: 0 all that was asked for was measured; 1 a verdict differs from the
baseline, or from the older run; 2 usage or a bad file; 3 something asked for could not be measured;
130 interrupted, what was measured is kept.
"""


class LazyGroup(click.Group):
    """Commands by name, each module imported only when its command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which one would use them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.{cmd_name}")
        command = getattr(module, FUNCTIONS.get(cmd_name, cmd_name))
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table's lines: click would import every command for its first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with its nearest names."""
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

    Boots one guest per operating system, lets an agent in it observe who is served and what is
    lost when a listener fails, judges that here, and shows all guests side by side. Data goes to
    standard output, talk to standard error.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return ExitStatus.USAGE
    return ExitStatus.OK


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its status."""
    sys.exit(_guarded(lambda: group.main(arguments, prog_name=NAME, standalone_mode=False)))


def _guarded(command: Callable[[], object]) -> int:
    """Run a command; say in a sentence what stopped it, and return the exit status."""
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
        # click answers a broken pipe with exit(1) whatever its mode (BaseCommand.main), and 1
        # means something else here. No command of ours exits; they return their status.
        if exc.code != 1:
            raise
        return _unread()
    except OSError as exc:
        return _of_files(exc)
    return status if isinstance(status, int) else ExitStatus.OK


def _of_files(exc: OSError) -> int:
    """Return the status for a file that cannot be written, or for who does not read on."""
    if isinstance(exc, BrokenPipeError):
        return _unread()
    if not complain_of_room(exc):
        raise exc
    return ExitStatus.USAGE


def _unread() -> int:
    """End well: who reads us has had enough (`| head`), which is no failure.

    Nor is it worth one when the interpreter flushes at its end (library/signal, "Note on SIGPIPE").
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.OK
