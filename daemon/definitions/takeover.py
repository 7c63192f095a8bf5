"""New definitions in place of those before: what the ledger is told, and the planner for them."""

import msgspec

from afresh.assets.manifest import Manifest
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import build_topology
from afresh.daemon.definitions.changed_schemas import revalidation_rows
from afresh.daemon.definitions.former import former_sources
from afresh.daemon.definitions.other_keys import other_keys_rows
from afresh.daemon.definitions.read_again import forgotten_rows, read_again
from afresh.daemon.reactor import Reactor
from afresh.daemon.restore.planner import restore_planner
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.check import Reads
from afresh.storage.ledger.commit import Update

_encode = msgspec.msgpack.Encoder().encode


def definitions_rows(
    reactor: Reactor, manifest: Manifest, old: Manifest | None, reader: Reads, epoch: int
) -> list[Update]:
    """The rows that say that these definitions are in force from this epoch on.

    A source that reads its data otherwise than before reads all its files again. What is stored
    under a schema that changed is to be validated again. A sensor of another kind begins anew. What
    has keys of other dimensions has other units.
    """
    now = reactor.ports.now()
    event = reactor.journal.request("code", "", manifest.digest, now, epoch)
    row = {
        "epoch": epoch,
        "digest": manifest.digest,
        "manifest": _encode(manifest),
        "loaded_at": now,
    }
    former = former_sources(manifest, old, reader) if old is not None else {}
    events = [event, *read_again(reactor, manifest, former, reader, now)]
    return [
        Update("insert", "definitions", [row]),
        Update("insert", "event", events),
        *forgotten_rows(manifest, former, reader, now),
        *other_keys_rows(manifest, old, reader, epoch),
        *revalidation_rows(old, manifest, reader.rows, event["seq"]),
    ]


def rebuild(reactor: Reactor, manifest: Manifest, reader: Reads, epoch: int) -> Planner:
    """The planner for new definitions, from the ledger.

    What is running goes on in it if its unit does, and what was asked for by hand waits on.
    """
    old = reactor.planner
    now = reactor.ports.now()
    state = saved.load_state(reader.rows)
    planner = restore_planner(
        build_topology(manifest), reader.rows, state, max_wait_seconds=old.max_wait_seconds, now=now
    )
    planner.epoch = max(planner.epoch, epoch)
    planner.ingests.most_pending = old.ingests.most_pending
    planner.graph.stopped = old.graph.stopped
    planner.take_requests(old)
    for attempt in old.running:
        if planner.adopt(attempt):
            continue
        reactor.cancel(attempt.run)
    return planner
