"""The root command: finds the others by name, imports one alone, and writes errors as promised."""

import sys
from importlib import import_module
from typing import Any

import click

from afresh.assets.errors import AfreshError
from afresh.daemon.cli.output import discard_output, print_error

# In the order of the help.
COMMANDS = {
    "init": ("afresh.daemon.cli.init", "Make a small project that works."),
    "check": ("afresh.daemon.cli.check", "Load and verify the definitions."),
    "up": ("afresh.daemon.cli.up", "Watch, react, until stopped."),
    "stop": ("afresh.daemon.cli.up", "Stop the running daemon."),
    "status": ("afresh.daemon.cli.status", "Show the state of each asset."),
    "wait": ("afresh.daemon.cli.wait", "Wait until all that has arrived is settled."),
    "plan": ("afresh.daemon.cli.status", "Show what would run, and why."),
    "materialize": ("afresh.daemon.cli.materialize", "Bring assets up to date now."),
    "cancel": ("afresh.daemon.cli.materialize", "End a run."),
    "pause": ("afresh.daemon.cli.materialize", "Stop the automation of assets."),
    "resume": ("afresh.daemon.cli.materialize", "Start the automation of assets again."),
    "versions": ("afresh.daemon.cli.versions", "Show an asset's history."),
    "read": ("afresh.daemon.cli.read", "Print or save the data of a version."),
    "lineage": ("afresh.daemon.cli.lineage", "Show what a version was made from."),
    "why": ("afresh.daemon.cli.why", "Say why an asset is as it is."),
    "events": ("afresh.daemon.cli.events", "Show the journal of what arrived."),
    "emit": ("afresh.daemon.cli.by_hand", "Make an event by hand."),
    "replay": ("afresh.daemon.cli.by_hand", "Bring events, or dead letters, again."),
    "rejected": ("afresh.daemon.cli.rejected", "Show what was not published."),
    "runs": ("afresh.daemon.cli.runs", "Show the runs."),
    "logs": ("afresh.daemon.cli.runs", "Show the output of one run."),
    "sensors": ("afresh.daemon.cli.sensors", "Show and control what watches."),
    "outgoing": ("afresh.daemon.cli.outgoing", "Show who is told of versions, and what waits."),
    "doctor": ("afresh.daemon.cli.doctor", "Check settings, permissions and limits."),
    "verify": ("afresh.daemon.cli.verify", "Check every artifact and the ledger."),
}


class Root(click.Group):
    """Imports a command's module when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        found = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command may be meant by one that there is not."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            # Only on a miss.
            from afresh.assets.nearest import did_you_mean  # noqa: PLC0415

            hint = did_you_mean(args[0], COMMANDS, "afresh --help lists them")
            raise click.UsageError(f"Expected a command, found {args[0]!r} ({hint})", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--project", default=None, metavar="DIR", help="The project's folder.")
@click.version_option(
    getattr(sys.modules["afresh"], "__version__", ""), message="afresh %(version)s"
)
@click.pass_context
def root(ctx: click.Context, as_json: bool, project: str | None) -> None:
    """Keep data assets up to date as data arrives."""
    ctx.obj = {"as_json": as_json, "project": project}


def run(arguments: list[str]) -> int:
    """Run a command; return the exit code. Whatever goes wrong is one message on stderr."""
    as_json = "--json" in arguments
    code = _code_of(arguments, as_json=as_json)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # who reads us has seen enough
        discard_output()
    except OSError as error:
        discard_output()
        if not code:  # else it was said by what failed first
            _refuse(error, as_json=as_json)
            code = 2
    return code


def _code_of(arguments: list[str], *, as_json: bool) -> int:
    try:
        code: Any = root.main(arguments, prog_name="afresh", standalone_mode=False)
    except click.ClickException as error:
        _usage(error, as_json=as_json)
        return 2
    except (KeyboardInterrupt, click.Abort):
        return 130
    except Exception as error:  # noqa: BLE001 - a fault of ours is an answer as well
        _refuse(error, as_json=as_json)
        return 2
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, *, as_json: bool) -> None:
    """Print what is wrong with a call, or the help where nothing was asked for."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        sys.stderr.write(error.format_message() + "\n")
        return
    hint = "afresh --help"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"{error.ctx.command_path} --help"
    print_error(error.format_message(), hint=hint, as_json=as_json)


def _refuse(error: Exception, *, as_json: bool) -> None:
    """Print what was refused on purpose, what the system refused, or a fault with its traceback."""
    ours = _ours(error)
    if ours:
        problem = ours[0]
    elif isinstance(error, OSError):
        name = f": {error.filename}" if error.filename else ""
        problem = AfreshError(
            f"Expected to read and write what is needed, found {error.strerror}{name}",
            hint="afresh doctor looks at folders and limits",
        )
    else:
        if not as_json:
            # Lazy: only a fault has a traceback.
            import traceback  # noqa: PLC0415

            traceback.print_exception(error)
        problem = AfreshError(
            f"Expected no fault of afresh itself, found {type(error).__name__}: {error}",
            hint="please report it",
        )
    print_error(problem.error, hint=problem.hint, where=problem.where, as_json=as_json)


def _ours(error: BaseException) -> list[AfreshError]:
    """Give what was raised on purpose; structured concurrency wraps it in groups."""
    if isinstance(error, AfreshError):
        return [error]
    if not isinstance(error, BaseExceptionGroup):
        return []
    found = [_ours(inner) for inner in error.exceptions]
    return [item for items in found for item in items] if all(found) else []
