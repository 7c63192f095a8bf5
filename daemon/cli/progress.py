"""Progress of long work on a terminal: each run that ends, on stderr."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from afresh.assets.errors import AfreshError
from afresh.assets.partition import format_ref
from afresh.daemon.api.client import Client, connect
from afresh.daemon.cli.call import Call, new_request
from afresh.daemon.cli.output import note, terminal_width


@contextmanager
def progress(call: Call) -> Iterator[None]:
    """Show the runs that end in the daemon meanwhile; nothing where nobody looks."""
    client = None
    if terminal_width(sys.stderr) is not None and not call.as_json:
        client = connect(call.settings.state)
    if client is None:
        yield
        return
    threading.Thread(target=_show, args=(client,), daemon=True).start()
    try:
        yield
    finally:
        client.close()


def _show(client: Client) -> None:
    try:
        for line in client.follow("follow", {"type": "run"}, request=new_request()):
            if line.get("state") not in (None, "queued", "running"):
                seconds = line.get("seconds")
                took = "" if seconds is None else f" {seconds:.2f} s"
                note(f"{format_ref(line['asset'], line['partition'])} {line['state']}{took}")
    except (AfreshError, OSError, ValueError):
        return  # it is closed: the work is done
