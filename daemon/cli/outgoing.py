"""`afresh outgoing`: who is told of versions, and what waits for them."""

from typing import Any

import click

from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.output import print_table, say
from afresh.daemon.cli.status import short


@command("outgoing")
@click.argument("action", required=False, type=click.Choice(("drop",)))
@click.argument("target", required=False)
def outgoing(call: Call, action: str | None, target: str | None) -> None:
    """Show the targets of [[outgoing]] and how many events wait for each.

    drop: TARGET is told of nothing that waits for it; that, and how many, is in the journal. So
    goes what waits for one that is in the settings no more.
    """
    if action is None:
        call.show(call.ledger("outgoing", {}, empty=[]), _people)
        return
    if target is None:
        raise click.UsageError("Expected the name of a target (afresh outgoing lists them)")
    answer = call.change("outgoing_drop", {"target": target})
    call.show(answer, lambda done: say(f"dropped {done['dropped']} events for {done['target']}"))


def _people(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("no target was told of anything: [[outgoing]] in the settings names them")
        return
    print_table(
        ("target", "state", "waiting", "since", "error"),
        [
            (row["target"], row["state"], row["waiting"], short(row["since"]), row["error"])
            for row in rows
        ],
        flexible=("error",),
    )
