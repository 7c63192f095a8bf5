"""`afresh doctor`."""

import sys
import time

from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.verify import print_findings


@command("doctor")
def doctor(call: Call) -> int:
    """Check settings, permissions, limits and the state of the daemon."""
    # Lazy: the checks look at much.
    from afresh.daemon.api.doctor import diagnose  # noqa: PLC0415

    release = str(sys.modules["afresh"].__version__)
    rows = diagnose(call.settings, release, time.time())  # noqa: TID251 - to compare with the ledger
    call.show(rows, print_findings)
    return 1 if any(row["state"] == "failed" for row in rows) else 0
