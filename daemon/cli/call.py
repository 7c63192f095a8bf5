"""One call of a command: its project, where its answers come from, and how they are printed.

Questions about the state go to the running daemon, or to the ledger where none runs; questions
about history always to the ledger, read-only. What changes something goes to the daemon, or is
done here, under the lease, for as long as it takes.
"""
# Paths are strings: pathlib is slow to import.
# ruff: noqa: PTH109

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from functools import cached_property, update_wrapper
from math import isnan
from typing import TYPE_CHECKING, Any

import click

from afresh.assets.errors import LedgerUnavailable
from afresh.daemon.api.client import Client, DaemonEnded, connect
from afresh.daemon.cli.output import note, print_json, while_read
from afresh.daemon.config import Settings, find_project, load_settings

if TYPE_CHECKING:
    from afresh.daemon.api.offline import OfflineView

COUNT = click.IntRange(min=0, max=(1 << 63) - 1)
"""How many: as many as the ledger can count."""

_READ_SECONDS = 120.0
_START_SECONDS = 30.0
_POLL_SECONDS = 0.02
_HERE = "no daemon runs: doing it here"


class _Seconds(click.FloatRange):
    """A number of seconds; "nan" is none, though it compares as one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found: float = super().convert(value, param, ctx)
        if isnan(found):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return found


SECONDS = _Seconds(min=0)


class Call:
    """What every command is given first. `project` is what --project says."""

    def __init__(self, *, as_json: bool, project: str | None) -> None:
        self.as_json = as_json
        self.project = project

    @cached_property
    def settings(self) -> Settings:
        """The project's settings. Raises UsageError where there is no project."""
        folder = find_project(os.getcwd()) if self.project is None else self.project
        return load_settings(folder, os.environ)

    def live(self, op: str, params: Mapping[str, Any], *, empty: Any = None) -> Any:
        """Ask how things are now: the daemon, or where none runs the ledger.

        `empty` is the answer for a project that has never run; None: that is an error.
        """
        # This process ends with its answer: nothing is gained by looking for cycles on the way.
        gc.disable()
        client = connect(self.settings.state)
        if client is not None:
            # A daemon that ends meanwhile leaves the ledger as it was.
            with closing(client), suppress(DaemonEnded):
                return client.ask(op, params, request=new_request(), timeout_seconds=_READ_SECONDS)
        return self.ledger(op, params, empty=empty)

    def ledger(self, op: str, params: Mapping[str, Any], *, empty: Any = None) -> Any:
        """Ask the ledger, read-only."""
        # Lazy: with a daemon none of this is needed.
        from afresh.daemon.api.offline import finish  # noqa: PLC0415
        from afresh.daemon.api.operations import perform  # noqa: PLC0415

        gc.disable()
        view = self.offline_view()
        if empty is not None and view.is_empty:
            # Lazy: with a daemon or a ledger who answers reads the selection.
            from afresh.assets.selection import check_syntax  # noqa: PLC0415

            check_syntax(params.get("selection"))
            note("nothing has run here yet: `afresh up` begins")
            return empty
        return finish(perform(view, None, op, params))

    def offline_view(self) -> "OfflineView":
        """Open the ledger as a view."""
        # Lazy: with a daemon none of this is needed.
        from afresh.daemon.api.offline import OfflineView  # noqa: PLC0415

        return OfflineView(self.settings, time.time)  # noqa: TID251 - for display only

    def change(
        self, op: str, params: Mapping[str, Any], *, timeout_seconds: float | None = None
    ) -> Any:
        """Change something: by the daemon, or here under the lease where none runs."""
        # Lazy: only changes need the hash of the project's files.
        from afresh.daemon.workers.snapshot import digest_of  # noqa: PLC0415

        client = self.daemon()
        if client is not None:
            with closing(client):
                return client.ask(
                    op,
                    params,
                    request=new_request(),
                    definitions_digest=digest_of(self.settings.project, self.settings.state),
                    timeout_seconds=timeout_seconds,
                )
        if not self.as_json:
            note(_HERE)
        # Lazy: this is the daemon itself.
        import anyio  # noqa: PLC0415

        from afresh.daemon import app  # noqa: PLC0415

        async def do() -> Any:
            return await app.perform(self.settings, op, dict(params), request=new_request())

        answer = anyio.run(do)
        if self.as_json:
            # Only now: with --json an error is all that stands on stderr.
            note(_HERE)
        return answer

    def daemon(self) -> Client | None:
        """Connect to the daemon; waits for one that is just starting. None where none runs."""
        client = connect(self.settings.state)
        if client is not None:
            return client
        # Lazy: a daemon that listens needs none of this.
        from pathlib import Path  # noqa: PLC0415

        from afresh.storage.ledger.lock import is_held  # noqa: PLC0415

        deadline = time.monotonic() + _START_SECONDS
        while is_held(Path(self.settings.ledger).parent):
            if time.monotonic() > deadline:
                raise LedgerUnavailable(
                    f"Expected the daemon to answer, found nobody at its socket for "
                    f"{_START_SECONDS:.0f} s",
                    hint="another command may hold the lease: try again, or see `afresh doctor`",
                )
            time.sleep(_POLL_SECONDS)  # noqa: TID251 - a command may wait
            client = connect(self.settings.state)
            if client is not None:
                return client
        return None

    def follow(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield what happens from now on, "event" or "run" lines, until the daemon ends."""
        client = self.daemon()
        if client is None:
            raise LedgerUnavailable(
                "Expected a daemon to follow, found none", hint="`afresh up` starts it"
            )
        with closing(client):
            try:
                yield from client.follow("follow", {"type": kind}, request=new_request())
            except DaemonEnded:
                note("the daemon has ended: there is nothing more to follow")

    def show(self, answer: Any, people: Callable[[Any], None]) -> None:
        """Print an answer: as JSON, or as people read it."""
        with while_read():
            if self.as_json:
                print_json(answer)
            else:
                people(answer)


def new_request() -> str:
    """Make an id for a request: random, so that two calls are never one."""
    return os.urandom(12).hex()


def command(name: str, **attributes: Any) -> Callable[[Callable[..., int | None]], click.Command]:
    """Make a command of a function of (call, its own parameters) that may return an exit code."""

    def wrap(function: Callable[..., int | None]) -> click.Command:
        def run(ctx: click.Context, as_json: bool, project: str | None, **params: Any) -> int:
            above = ctx.find_object(dict) or {}
            call = Call(
                as_json=as_json or above.get("as_json", False),
                project=project or above.get("project"),
            )
            gc.freeze()
            gc.enable()
            return function(call, **params) or 0

        own = getattr(function, "__click_params__", [])
        update_wrapper(run, function)
        run.__click_params__ = [  # type: ignore[attr-defined]
            click.Option(["--project"], metavar="DIR", help="The project's folder."),
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
            *own,
        ]
        return click.command(name, cls=click.Command, **attributes)(click.pass_context(run))

    return wrap


def paged(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a listing its `--limit` and `--after`."""
    function = click.option("--after", metavar="CURSOR", help="Begin after this one.")(function)
    return click.option("--limit", type=COUNT, metavar="N", help="At most so many.")(function)


def one(words: tuple[str, ...]) -> str | None:
    """Make one selection of a command's words (`a b` is either); None without any."""
    return " ".join(words) if words else None
