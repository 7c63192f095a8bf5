"""`afresh status` and `afresh plan`."""

from typing import Any

import click

from afresh.daemon.cli.call import Call, command, one, paged
from afresh.daemon.cli.output import print_table, say


@command("status")
@click.argument("selection", nargs=-1)
@click.option("--summary", is_flag=True, help="Count the units by state.")
@click.option("--partitions", is_flag=True, help="A line for each partition.")
@paged
def status(
    call: Call,
    selection: tuple[str, ...],
    *,
    summary: bool,
    partitions: bool,
    limit: int | None,
    after: str | None,
) -> None:
    """Show the state of each asset, or of what SELECTION covers."""
    params = {"selection": one(selection), "limit": limit, "after": after}
    if summary:
        call.show(call.live("summary", params, empty={}), _counts)
    elif call.as_json or partitions or limit is not None or after:
        call.show(call.live("status", params, empty=[]), _units)
    else:
        call.show(call.live("table", params, empty=[]), _assets)


def _counts(answer: dict[str, int]) -> None:
    for state, count in answer.items():
        say(f"{count} {state}")


def _units(rows: list[dict[str, Any]]) -> None:
    print_table(
        ("asset", "partition", "state", "version", "epoch", "updated", "reasons"),
        [
            (
                row["asset"],
                row["partition"],
                row["state"],
                _version(row["version"]),
                row["epoch"],
                short(row["updated_at"]),
                "; ".join(row["reasons"]),
            )
            for row in rows
        ],
        flexible=("reasons", "partition", "asset"),
        optional=("epoch", "updated", "version"),
    )


def _assets(rows: list[dict[str, Any]]) -> None:
    print_table(
        ("asset", "kind", "state", "version", "updated", "reasons"),
        [
            (
                row["asset"],
                row["kind"],
                _state(row),
                "" if row["partitioned"] else _version(row["version"]),
                short(row["updated_at"]),
                row["reason"],
            )
            for row in rows
        ],
        flexible=("reasons", "state", "asset"),
        optional=("kind", "updated", "version"),
    )


_ORDER = ("failed", "blocked", "running", "stale", "held", "paused", "missing", "fresh")


def _state(row: dict[str, Any]) -> str:
    states: dict[str, int] = row["states"]
    if not row["units"]:
        return "missing (no partition yet)"
    if not row["partitioned"]:
        return next(iter(states))
    return ", ".join(f"{state} {states[state]}" for state in _ORDER if state in states)


def _version(version: int | None) -> str:
    return "" if version is None else f"@{version}"


def short(time: str | None) -> str:
    """Write a time for people: to the second, UTC."""
    return "" if time is None else time[:19].replace("T", " ")


@command("plan")
@click.argument("selection", nargs=-1)
def plan(call: Call, selection: tuple[str, ...]) -> None:
    """Show what would run and why. Changes nothing."""
    call.show(call.live("plan", {"selection": one(selection)}, empty=[]), _plan)


def _plan(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("nothing would run")
        return
    print_table(
        ("asset", "partition", "action", "seconds", "reasons"),
        [
            (
                row["asset"],
                row["partition"],
                row["action"],
                "" if row["est_seconds"] is None else f"{row['est_seconds']:.2f}",
                "; ".join(row["reasons"]),
            )
            for row in rows
        ],
        flexible=("reasons", "partition"),
        optional=("seconds",),
    )
