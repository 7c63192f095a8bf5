"""Asks a daemon what none can do, again and again: the answer costs a turn of its loop.

    python -m benchmarks.pinger STATE       until its input ends; prints the seconds as JSON

A process of its own: a thread would wait for whoever else computes in the same process.
"""

import json
import select
import sys
import time

from afresh.assets.errors import AfreshError
from afresh.daemon.api.client import connect

EVERY_SECONDS = 0.01


def main(state: str) -> None:
    """Ask until the input ends."""
    client = connect(state)
    assert client is not None
    lags = []
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], EVERY_SECONDS)[0]:
        began = time.monotonic()
        try:
            client.ask("ping", {}, request="ping")
        except AfreshError:
            lags.append(time.monotonic() - began)
    client.close()
    print(json.dumps(lags))


if __name__ == "__main__":
    main(sys.argv[1])
