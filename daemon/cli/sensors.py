"""`afresh sensors`, and what can be done to one."""

from typing import Any

import click

from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.output import print_table, say
from afresh.daemon.cli.status import short

_ACTIONS = ("pause", "resume", "scan", "reset")


@command("sensors")
@click.argument("action", required=False, type=click.Choice(_ACTIONS))
@click.argument("name", required=False)
@click.option("--accept", is_flag=True, help="scan: what is gone is really deleted.")
def sensors(call: Call, action: str | None, name: str | None, accept: bool) -> None:
    """Show the sensors; or pause, resume, scan or reset the one with this NAME.

    reset: it forgets where it was and looks at all as if it were new. Files that did not change
    cost nothing; what a stream reads again is appended again.
    """
    if action is None:
        call.show(call.live("sensors", {}, empty=[]), _people)
        return
    if name is None:
        raise click.UsageError("Expected the name of a sensor (afresh sensors lists them)")
    answer = call.change(f"sensor_{action}", {"sensor": name, "accept": accept})
    call.show(answer, lambda done: say(_done(action, done)))


def _done(action: str, answer: dict[str, Any]) -> str:
    if action == "scan":
        return f"scanned {answer['sensor']}: {answer['arrivals']} arrivals"
    (verb,) = answer
    return f"{verb} {' '.join(answer[verb])}"


def _people(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("no sensors")
        return
    print_table(
        ("sensor", "kind", "state", "lag", "last event", "cursor", "error"),
        [
            (
                row["sensor"],
                row["kind"],
                row["state"],
                row["lag"],
                short(row["last_event_at"]),
                row["cursor"],
                _wrong(row) or _told(row),
            )
            for row in rows
        ],
        flexible=("error", "cursor"),
        optional=("cursor", "kind", "last event", "lag"),
    )


def _wrong(row: dict[str, Any]) -> str:
    """Say what is wrong now, and the way out."""
    error, hint = row["error"] or "", row.get("hint") or ""
    return f"{error} ({hint})" if error and hint and hint not in error else error


def _told(row: dict[str, Any]) -> str:
    """Say what else is known of a sensor that works: its note, and why it failed before."""
    before = row.get("last_error")
    failed = f"failed at {short(row['last_error_at'])}: {before}" if before else ""
    return "; ".join(text for text in (row.get("note"), failed) if text)
