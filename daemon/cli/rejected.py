"""`afresh rejected`: data and records that were not published."""

from typing import Any

import click

from afresh.daemon.cli.call import COUNT, Call, command
from afresh.daemon.cli.output import print_table, say
from afresh.daemon.cli.status import short


@command("rejected")
@click.argument("asset", required=False)
@click.option("--all", "whole", is_flag=True, help="Records that were replayed, too.")
@click.option("--limit", type=COUNT, metavar="N", help="At most so many.")
def rejected(call: Call, asset: str | None, whole: bool, limit: int | None) -> None:
    """Show what was rejected of ASSET, or of all: data as a whole, and single records.

    Records are dead letters: `afresh replay SOURCE` tries them again.
    """
    params = {"asset": asset, "all": whole, "limit": limit}
    call.show(call.ledger("rejected", params, empty=[]), _people)


def _people(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("nothing is rejected")
        return
    print_table(
        ("ref", "kind", "state", "place", "at", "error"),
        [
            (row["ref"], row["kind"], row["state"], row["place"], short(row["at"]), row["error"])
            for row in rows
        ],
        flexible=("error",),
        optional=("at", "place", "kind"),
    )
