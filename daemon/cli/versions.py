"""`afresh versions`."""

from typing import Any

import click

from afresh.daemon.cli.call import Call, command, paged
from afresh.daemon.cli.output import print_table
from afresh.daemon.cli.status import short


@command("versions")
@click.argument("asset")
@paged
def versions(call: Call, asset: str, limit: int | None, after: str | None) -> None:
    """Show the versions of ASSET (or ASSET[KEY]), newest first."""
    params = {"asset": asset, "limit": limit, "after": after}
    call.show(call.ledger("versions", params), _people)


def _people(rows: list[dict[str, Any]]) -> None:
    print_table(
        ("ref", "state", "rows", "bytes", "created", "run", "code"),
        [
            (
                row["ref"],
                row["state"],
                row["rows"],
                row["bytes"],
                short(row["created_at"]),
                row["run"],
                row["code_version"][:10],
            )
            for row in rows
        ],
        optional=("code", "bytes", "created", "run", "rows", "state"),
    )
