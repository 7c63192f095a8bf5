"""`afresh materialize`, `cancel`, `pause` and `resume`."""

from typing import Any

import click

from afresh.daemon.cli.call import Call, command, one
from afresh.daemon.cli.output import print_table, say
from afresh.daemon.cli.progress import progress


@command("materialize")
@click.argument("selection", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Run it even if nothing has changed.")
@click.option("--partitions", metavar="A..B", help="Only these keys, both ends included.")
def materialize(call: Call, selection: tuple[str, ...], force: bool, partitions: str | None) -> int:
    """Bring SELECTION and what it needs up to date now, failed units too."""
    params = {"selection": one(selection), "force": force, "partitions": partitions}
    with progress(call):
        rows = call.change("materialize", params)
    call.show(rows, _made)
    return 1 if any(row["state"] in ("failed", "blocked") for row in rows) else 0


def _made(rows: list[dict[str, Any]]) -> None:
    print_table(
        ("asset", "partition", "state", "version", "run"),
        [
            (
                row["asset"],
                row["partition"],
                row["state"],
                "" if row["version"] is None else f"@{row['version']}",
                row["run"],
            )
            for row in rows
        ],
        flexible=("partition", "asset"),
        optional=("version",),
    )


@command("cancel")
@click.argument("run")
def cancel(call: Call, run: str) -> None:
    """End a run that is queued or under way."""
    answer = call.change("cancel", {"run": run})
    call.show(answer, lambda done: say(f"cancelled {done['run']}"))


@command("pause")
@click.argument("selection", nargs=-1, required=True)
def pause(call: Call, selection: tuple[str, ...]) -> None:
    """Stop the automation of SELECTION. Nothing that arrives is lost."""
    answer = call.change("pause", {"selection": one(selection)})
    call.show(answer, lambda done: say("paused " + " ".join(done["paused"])))


@command("resume")
@click.argument("selection", nargs=-1, required=True)
def resume(call: Call, selection: tuple[str, ...]) -> None:
    """Start the automation of SELECTION again."""
    answer = call.change("resume", {"selection": one(selection)})
    call.show(answer, lambda done: say("resumed " + " ".join(done["resumed"])))
