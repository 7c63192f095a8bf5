"""`afresh emit` and `afresh replay`: events made by hand, and events brought again."""

import os
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import click

from afresh.assets.errors import UsageError
from afresh.daemon.cli.call import SECONDS, Call, command
from afresh.daemon.cli.output import print_table, say
from afresh.daemon.cli.progress import progress
from afresh.sensors.depth import VARIABLE, read_depth

MOST_BYTES = 64 << 20


@command("emit")
@click.argument("source")
@click.option("--data", metavar="JSON|@FILE|-", help="A stream: the record's bytes.")
@click.option("--lines", is_flag=True, help="Each line of the data is a record.")
@click.option("--key", metavar="KEY", help="A stream: the record's key.")
@click.option("--partition", metavar="KEY", help="Of files: look at what this one has again.")
@click.option("--path", metavar="PATH", help="Of files: look at this path again.")
def emit(call: Call, source: str, data: str | None, lines: bool, **given: Any) -> None:
    """Make an event of SOURCE: a record of a stream, or another look at a file."""
    values = _values(data, lines=lines) if data is not None else []
    params = {"source": source, "data": [b64encode(value).decode() for value in values], **given}
    params["depth"] = read_depth(os.environ.get(VARIABLE))
    call.show(call.change("emit", params), lambda event: say(f"event {event['seq']}"))


@command("replay")
@click.argument("source", required=False)
@click.option("--events", metavar="A..B", help="These events of the journal, both included.")
@click.option("--place", "places", multiple=True, metavar="PLACE", help="Only this dead letter.")
@click.option("--all", "whole", is_flag=True, help="All dead letters, as without --place.")
@click.option("--timeout", type=SECONDS, metavar="S", help="Wait no longer.")
@click.option("--again", is_flag=True, help="Append records that are there already once more.")
def replay(
    call: Call,
    *,
    source: str | None,
    events: str | None,
    places: tuple[str, ...],
    whole: bool,
    timeout: float | None,
    again: bool,
) -> int:
    """Bring again what EVENTS brought, or try the dead letters of SOURCE once more.

    Files and objects are looked at again: equal content changes nothing. Records of a stream that
    are in it are left alone, unless --again is given. Exit 1 if something failed again
    or is not read yet.
    """
    if (events is None) == (source is None):
        raise click.UsageError("Expected a source, or --events A..B")
    if source is not None:
        if whole and places:
            raise click.UsageError("Expected --place or --all, found both")
        return _letters(call, {"source": source, "places": places, "timeout": timeout})
    with progress(call):
        rows = call.change("replay", {"events": events, "again": again, "timeout": timeout})
    call.show(rows, _replayed)
    bad = ("rejected", "vanished", "dead", "pending")
    return 1 if any(row["state"] in bad for row in rows) else 0


def _letters(call: Call, params: dict[str, Any]) -> int:
    """Try dead letters again; 1 if one of them is none the better for it."""
    with progress(call):
        rows = call.change("replay_letters", params)
    call.show(rows, _tried)
    return 1 if any(row["state"] != "replayed" for row in rows) else 0


def _tried(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("no dead letters")
        return
    columns = ("place", "state", "error")
    print_table(columns, [tuple(row[c] for c in columns) for row in rows], flexible=("error",))


def _values(data: str, *, lines: bool) -> list[bytes]:
    """Give the bytes of records: as they are given, of a file, or of what is piped in."""
    if data == "-":
        content = sys.stdin.buffer.read(MOST_BYTES + 1)
    elif data.startswith("@"):
        with Path(data[1:]).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    else:
        content = data.encode(errors="surrogateescape")
    if len(content) > MOST_BYTES:
        raise UsageError(
            f"Expected at most {MOST_BYTES >> 20} MB of data, found more",
            hint="give it in parts",
        )
    return [line for line in content.splitlines() if line.strip()] if lines else [content]


def _replayed(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("no events in this range")
        return
    columns = ("event", "replay", "source", "partition", "kind", "state", "reason")
    table = [tuple(row[column] for column in columns) for row in rows]
    print_table(columns, table, flexible=("reason", "partition"))
