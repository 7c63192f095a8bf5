"""How long work that has an end waits for storage: a daemon pauses, `--until-idle` gives up."""

from collections.abc import Callable

import anyio

from afresh.assets.planner.nodes import Node
from afresh.assets.planner.planner import Planner

PATIENCE_SECONDS = 20.0
"""Without an end to a full disk, or to a ledger that cannot be written, for so long."""
_LOOK_SECONDS = 0.5


class Patience:
    """Watches for storage that is not there. `tell` is the ledger's; `planner` is given later."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.planner: Callable[[], Planner] | None = None
        self.lost = ""
        """Why it gave up; empty while it did not."""
        self.ledger = ""
        """Why the ledger cannot be written; empty while it can."""
        self._tell = tell

    def problem(self, text: str) -> None:
        """Take what the ledger says of its trouble, empty when it is over, and pass it on."""
        self.ledger = text
        self._tell(text)

    async def end(self, scope: anyio.CancelScope) -> None:
        """Cancel the scope once nothing could be stored for too long."""
        since: float | None = None
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            reason, now = self._reason(), anyio.current_time()
            if not reason:
                since = None
            elif since is None:
                since = now
            elif now - since >= PATIENCE_SECONDS:
                self.lost = f"nothing could be stored for {now - since:.0f} s: {reason}"
                scope.cancel()
                return

    def _reason(self) -> str:
        if self.ledger or self.planner is None:
            return self.ledger
        return next((node.trouble.error for node in _waiting(self.planner()) if node.trouble), "")


def _waiting(planner: Planner) -> list[Node]:
    """The units that are tried again because there was no room for them."""
    return [
        node
        for nodes in planner.graph.nodes.values()
        for node in nodes.values()
        if node.trouble is not None and not node.trouble.final and node.trouble.kind == "storage"
    ]
