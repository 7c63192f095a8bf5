"""`afresh doctor`."""

import sys
import time
from typing import Any

from afresh.assets.errors import AfreshError
from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.verify import print_findings


@command("doctor")
def doctor(call: Call) -> int:
    """Check settings, permissions, limits and the state of the daemon."""
    # Lazy: the checks look at much.
    from afresh.daemon.api.doctor import diagnose  # noqa: PLC0415

    release = str(sys.modules["afresh"].__version__)
    rows = diagnose(call.settings, release, time.time())  # noqa: TID251 - to compare with the ledger
    rows = [found for row in rows for found in _loaded(call, row)]
    call.show(rows, print_findings)
    return 1 if any(row["state"] == "failed" for row in rows) else 0


def _loaded(call: Call, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Of definitions whose modules are there: a row for each problem that loading them shows."""
    if row["check"] != "definitions" or row["state"] != "ok":
        return [row]
    # Lazy: this is the daemon's half.
    import anyio  # noqa: PLC0415

    from afresh.daemon import app  # noqa: PLC0415

    try:
        problems = anyio.run(app.load, call.settings).problems
    except AfreshError as error:
        return [{**row, "state": "failed", "detail": error.error, "hint": error.hint}]
    except OSError as error:
        hint = "they are copied into the state folder to be loaded: see `state` and `disk`"
        return [{**row, "state": "failed", "detail": str(error), "hint": hint}]
    found = [
        {
            **row,
            "state": "failed",
            "detail": f"{problem.where}: {problem.error}" if problem.where else problem.error,
            "hint": problem.hint or "afresh check says more",
        }
        for problem in problems
    ]
    return found or [row]
