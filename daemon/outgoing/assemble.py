"""The outbox and its targets put together for a daemon, as the settings say."""

import logging
from collections.abc import Callable
from typing import Any

from afresh.assets.manifest import Manifest
from afresh.assets.planner.segments import slices
from afresh.daemon.config import Settings
from afresh.daemon.notifiers.alerts import Alerts
from afresh.daemon.outgoing.delivery import Delivery
from afresh.daemon.outgoing.load import build_target, target_name
from afresh.daemon.outgoing.outbox import Outbox
from afresh.daemon.reactor import Reactor
from afresh.storage.ledger.reader import Reader

_log = logging.getLogger("afresh.outgoing")
_WAITING = "SELECT 1 FROM outgoing LIMIT 1"


def deliveries(
    settings: Settings,
    manifest: Callable[[], Manifest],
    reader: Reader,
    reactor: Reactor,
    alerts: Alerts,
) -> list[Delivery]:
    """Give the reactor its outbox, and a task for each target. Raises UsageError for a wrong one.

    What waits for a target that is no more in the settings is kept, and said.
    """
    ports = reactor.ports
    if not settings.outgoing and not reader.rows(_WAITING, {}):
        return []
    tables = {target_name(table): table for table in settings.outgoing}

    def parts(asset: str, key: str, start: int, end: int) -> list[dict[str, Any]]:
        found = slices(reactor.streams.segments((asset, key)), start, end)
        return [
            {
                "uri": each.segment.uri,
                "hash": each.segment.hash,
                "skip": each.skip,
                "rows": each.take,
            }
            for each in found
            if each.take
        ]

    def depth(asset: str, run: str) -> int:
        plan, _ = reactor.planner.topology.assets.get(asset, (None, 0))
        made = plan is not None and plan.function is not None
        return max(int(made), ports.depth_of_run(run))

    outbox = ports.outbox = Outbox(
        settings.name,
        {name: str(table.get("select", "")) for name, table in tables.items()},
        reader.rows,
        manifest=manifest,
        parts=parts,
        now=ports.now,
        depth=depth,
    )
    for name in outbox.waiting.keys() - tables.keys():
        _log.warning("%d events wait for %r, no target by now", outbox.waiting[name], name)

    def alert(subject: str, error: str) -> None:
        if error:
            alerts.failed(subject, error, (error,), "")
        else:
            alerts.recovered(subject, "")

    return [
        Delivery(
            name,
            build_target(table, project=settings.project, now=ports.now),
            outbox,
            ledger=ports.ledger,
            read=reader.rows,
            require=ports.require,
            random=ports.random,
            alert=alert,
        )
        for name, table in tables.items()
    ]
