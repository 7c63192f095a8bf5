"""`afresh verify`."""

import sys
from typing import Any

from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.output import print_table, say, terminal_width


@command("verify")
def verify(call: Call) -> int:
    """Check every artifact against its hash, and the ledger against itself."""
    # Lazy: hashing.
    from afresh.daemon.api.verify import verify as check  # noqa: PLC0415

    progress = _progress if terminal_width(sys.stderr) else _silence
    settings = call.settings
    rows = check(call.offline_view().reader, settings.project, settings.artifacts, progress)
    call.show(rows, print_findings)
    return 1 if any(row["state"] == "failed" for row in rows) else 0


def print_findings(rows: list[dict[str, Any]]) -> None:
    """Print the rows of `verify` and `doctor` for people."""
    print_table(
        ("check", "state", "detail"),
        [(row["check"], row["state"], row["detail"]) for row in rows],
        flexible=("detail",),
    )
    for row in rows:
        if row["state"] != "ok" and row["hint"]:
            say(f"{row['check']}: {row['detail']}")
            say(f"  {row['hint']}")


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r{done} of {total} versions{end}")
    sys.stderr.flush()


def _silence(_done: int, _total: int) -> None:
    """Nobody looks."""
