"""`afresh events`: the journal."""

import time
from typing import Any

import click

from afresh.daemon.api.event_filter import event_filter
from afresh.daemon.api.times import iso
from afresh.daemon.cli.call import Call, command, paged
from afresh.daemon.cli.output import print_json_line, print_table, say, while_read
from afresh.daemon.cli.status import short

_KEYS = ("seq", "epoch", "sensor", "source", "partition", "kind", "uri", "observed_at", "state")
_TOLD = ("gap", "news", "request")
"""Kinds of which the detail is what matters, such as which records are lost."""
_COLUMNS = ("seq", "epoch", "source", "partition", "kind", "state", "observed", "uri")


@command("events")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only of this source.")
@click.option("--sensor", "sensors", multiple=True, metavar="NAME", help="Only of this sensor.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="arrived, gap, news, tick ...")
@click.option("--state", "states", multiple=True, metavar="STATE", help="pending, ingested ...")
@click.option("--partition", metavar="KEY", help="Only of this partition.")
@click.option("--since", metavar="WHEN", help="From this seq or time on (10m: ten minutes ago).")
@click.option("--until", metavar="WHEN", help="Up to this seq or time.")
@click.option("--follow", is_flag=True, help="Go on with what comes, a JSON line each.")
@click.option("--unmatched", is_flag=True, help="Only what matches no source.")
@paged
def events(call: Call, follow: bool, **params: Any) -> None:
    """Show the journal of what arrived. Several of one option are alternatives."""
    if not follow:
        call.show(call.ledger("events", params, empty=[]), _people)
        return
    wanted = event_filter(params, time.time())  # noqa: TID251 - a user's clock
    lines = call.follow("event")
    # From its first line on it listens: what is in the ledger by now is not in the lines, or equal.
    next(lines, None)
    told: dict[int, str] = {}
    with while_read():
        for row in call.ledger("events", params, empty=[]):
            told[row["seq"]] = row["state"]
            print_json_line(row)
        for line in lines:
            if line.get("type") == "missed":
                print_json_line(line)
            elif wanted.matches(line):
                row = event_line(line)
                if told.get(row["seq"]) != row["state"]:
                    print_json_line(row)


def event_line(line: dict[str, Any]) -> dict[str, Any]:
    """Make a row of `events` of a line that the daemon streams."""
    told = {"observed_at": iso(line.get("observed_at")), "detail": line.get("detail") or None}
    return {**{key: line.get(key) for key in _KEYS}, **told}


def _people(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("no events")
        return
    print_table(
        _COLUMNS,
        [
            (
                row["seq"],
                row["epoch"],
                row["source"],
                row["partition"],
                row["kind"],
                row["state"],
                short(row["observed_at"]),
                row["detail"] if row["kind"] in _TOLD and row["detail"] else row["uri"],
            )
            for row in rows
        ],
        flexible=("uri", "partition"),
        optional=("epoch", "observed", "source", "partition"),
    )
