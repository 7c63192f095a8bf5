"""The installed command with a watch inside its loop: how late a turn comes that was due.

Written to LAGS as JSON, in seconds, when the daemon ends. A watch inside, since one outside would
also measure who else has the processor.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio

from afresh.daemon import app
from afresh.daemon.cli import main

EVERY_SECONDS = 0.005


async def watch(lags: list[float]) -> None:
    """Ask to be woken, and note how much later that was."""
    while True:
        due = time.monotonic() + EVERY_SECONDS
        await anyio.sleep(EVERY_SECONDS)
        lags.append(time.monotonic() - due)


async def serve(*arguments: Any, **options: Any) -> int:
    """Run the daemon beside the watch."""
    lags: list[float] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, lags)
        try:
            return await unwatched(*arguments, **options)
        finally:
            Path(os.environ["LAGS"]).write_text(json.dumps(lags))
            tasks.cancel_scope.cancel()
    return 0


unwatched = app.serve
app.serve = serve
sys.exit(main())
