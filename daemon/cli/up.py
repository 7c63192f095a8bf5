"""`afresh up` and `afresh stop`."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from afresh.assets.errors import AfreshError
from afresh.assets.partition import format_ref
from afresh.daemon.api.times import iso
from afresh.daemon.api.view import Observer, View
from afresh.daemon.cli.call import Call, command, new_request
from afresh.daemon.cli.output import (
    clean,
    discard_output,
    note,
    print_json_line,
    say,
    terminal_width,
)

_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.02
_UNDER_WAY = frozenset({"queued", "running"})


@command("up")
@click.option("--until-idle", is_flag=True, help="Do all there is to do, then exit.")
def up(call: Call, *, until_idle: bool) -> int:
    """Watch, react and keep everything up to date, until stopped."""
    settings = call.settings
    # Lazy: the daemon itself.
    import anyio  # noqa: PLC0415

    from afresh.daemon import app  # noqa: PLC0415

    observer: Observer
    if call.as_json:
        observer = JsonLines()
    elif terminal_width(sys.stdout) is None or os.environ.get("TERM") == "dumb":
        observer = PlainLines()
    else:
        # Lazy: rich draws on terminals only.
        from afresh.daemon.cli.live import serve_live  # noqa: PLC0415

        return anyio.run(serve_live, app, settings, until_idle)
    code = anyio.run(partial(app.serve, settings, until_idle=until_idle, observer=observer))
    try:
        sys.stdout.flush()
    except OSError:  # as with every line: what cannot be printed ends no daemon
        discard_output()
    return code


class PlainLines:
    """Tells what goes on in plain lines, each at once."""

    def ready(self, text: str) -> None:
        """Say that all is watched."""
        _tell(_now, f"ready: {text}")

    def event(self, line: dict[str, Any]) -> None:
        """Tell of an event, or of a run that ended."""
        if text := sentence(line):
            _tell(_now, text)

    def problem(self, text: str) -> None:
        """Tell on stderr what a person should know."""
        _tell(note, text)

    def watching(self, view: View) -> None:
        """Need no view."""


class JsonLines:
    """Tells what goes on as JSON Lines: `type` is ready, event, run, problem or missed."""

    def ready(self, text: str) -> None:
        """Say that all is watched."""
        _tell(print_json_line, {"type": "ready", "text": text})

    def event(self, line: dict[str, Any]) -> None:
        """Tell of an event or a run, with the keys of `afresh events` and `afresh runs`."""
        _tell(print_json_line, dated(line))

    def problem(self, text: str) -> None:
        """Tell what a person should know."""
        _tell(print_json_line, {"type": "problem", "text": text})

    def watching(self, view: View) -> None:
        """Need no view."""


def dated(line: dict[str, Any]) -> dict[str, Any]:
    """Write the times of a line as ISO 8601."""
    return {
        key: iso(value) if key.endswith("_at") and isinstance(value, int | float) else value
        for key, value in line.items()
    }


def sentence(line: dict[str, Any]) -> str:
    """Write a line for people; "" for what they need not be told."""
    kind = line.get("type")
    if kind == "event":
        if line.get("state") not in ("pending", "unmatched"):
            return ""  # the run that took it says more
        about = line.get("uri") or line.get("source") or ""
        return f"event {line.get('seq')}: {about} {line.get('kind')}" + (
            " (unmatched)" if line.get("state") == "unmatched" else ""
        )
    if kind == "run" and line.get("state") not in _UNDER_WAY:
        ref = format_ref(line.get("asset", ""), line.get("partition", ""), line.get("version"))
        seconds = line.get("seconds")
        took = "" if seconds is None else f" in {seconds:.3f} s"
        error = f": {line['error']}" if line.get("error") else ""
        return f"run {line.get('run')}: {ref} {line.get('state')}{took}{error}"
    if kind == "missed":
        return f"({line.get('count')} lines were not shown)"
    return ""


def _tell(say_it: Callable[[Any], None], what: Any) -> None:
    """Print, if it can be printed: a full disk or a reader that left ends no daemon."""
    with suppress(OSError):
        say_it(what)


def _now(text: str) -> None:
    sys.stdout.write(clean(text) + "\n")
    sys.stdout.flush()


@command("stop")
def stop(call: Call) -> None:
    """Stop the running daemon gracefully, and wait until it has ended."""
    # Lazy: up needs none of this.
    from afresh.storage.ledger.lock import is_held  # noqa: PLC0415

    client = call.daemon()
    if client is None:
        call.show({"stopped": False}, lambda _: say("no daemon is running"))
        return
    with closing(client):
        client.ask("stop", {}, request=new_request(), timeout_seconds=_STOP_SECONDS)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_held(Path(call.settings.ledger).parent):
        if time.monotonic() > deadline:
            raise AfreshError(
                f"Expected the daemon to end within {_STOP_SECONDS:.0f} s, found it still there",
                hint="send it SIGTERM twice: it then ends at once, and nothing is lost",
            )
        time.sleep(_POLL_SECONDS)  # noqa: TID251 - a command may wait
    call.show({"stopped": True}, lambda _: say("stopped"))
