"""`afresh runs` and `afresh logs`."""
# Paths are strings: pathlib is slow to import.
# ruff: noqa: PTH118, PTH123

import os
import sys
from typing import Any

import click

from afresh.assets.partition import format_ref
from afresh.daemon.cli.call import Call, command, one, paged
from afresh.daemon.cli.output import clean, print_table, say, terminal_width, while_read
from afresh.daemon.cli.status import short

_PIECE = 1 << 16
_MOST_JSON_BYTES = 1 << 20
_UNDER_WAY = frozenset({"queued", "running"})
_ENDED = "the daemon ended while this ran: the next one tries it again"


@command("runs")
@click.argument("selection", nargs=-1)
@paged
def runs(call: Call, selection: tuple[str, ...], limit: int | None, after: str | None) -> None:
    """Show the runs, in the order in which they were dispatched."""
    params = {"selection": one(selection), "limit": limit, "after": after}
    call.show(_cut_off(call, call.ledger("runs", params, empty=[])), _people)


def _cut_off(call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of runs without an end that they were cut off, where no daemon is there to end them."""
    if not any(row["state"] in _UNDER_WAY for row in rows):
        return rows
    # Lazy: only where something is under way.
    from pathlib import Path  # noqa: PLC0415

    from afresh.storage.ledger.lock import is_held  # noqa: PLC0415

    if is_held(Path(call.settings.ledger).parent):
        return rows
    return [
        {**row, "state": "interrupted", "error": _ENDED} if row["state"] in _UNDER_WAY else row
        for row in rows
    ]


def _people(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("no runs")
        return
    print_table(
        ("run", "asset", "partition", "try", "state", "cause", "started", "seconds", "error"),
        [
            (
                row["run"],
                row["asset"],
                row["partition"],
                row["attempt"],
                row["state"],
                _cause(row["cause"]),
                short(row["started_at"]),
                "" if row["seconds"] is None else f"{row['seconds']:.3f}",
                row["error"],
            )
            for row in rows
        ],
        flexible=("error", "partition", "asset"),
        optional=("try", "seconds", "started", "cause", "error", "partition"),
    )


def _cause(cause: dict[str, Any]) -> str:
    return cause["kind"] if cause["event"] is None else f"{cause['kind']} {cause['event']}"


@command("logs")
@click.argument("run")
def logs(call: Call, run: str) -> None:
    """Show what one run printed, and how it ended."""
    answer = call.ledger("log", {"run": run})
    answer["rows"] = _cut_off(call, answer["rows"])
    path = os.path.join(call.settings.state, "logs", f"{answer['run']}.log")
    if call.as_json:
        call.show({**answer, "output": _head(path)}, lambda _: None)
        return
    with while_read():
        _copy(path)
        _endings(answer)


def _endings(answer: dict[str, Any]) -> None:
    for row in answer["rows"]:
        ref = format_ref(row["asset"], row["partition"])
        error = f": {row['error']}" if row["error"] else ""
        say(f"-- {row['run']} {ref} attempt {row['attempt']} {row['state']}{error}")
    for rejection in answer["rejections"]:
        say(f"-- rejected {rejection['ref']}: {rejection['error']}")
        for case in rejection["cases"]:
            say("   " + ", ".join(f"{key}: {value}" for key, value in case.items() if value))


def _head(path: str) -> str:
    """Give the log's text, at most 1 MiB."""
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_JSON_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _copy(path: str) -> None:
    """Print the log: as it is into a pipe, without control characters on a terminal."""
    try:
        with open(path, "rb") as file:
            if terminal_width(sys.stdout) is None:
                while piece := file.read(_PIECE):
                    sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
                return
            for line in file:
                # Tabs are kept: they are how tracebacks and tables are indented.
                pieces = line.decode("utf-8", "replace").rstrip("\n").split("\t")
                sys.stdout.write("\t".join(map(clean, pieces)) + "\n")
    except FileNotFoundError:
        return  # it printed nothing
