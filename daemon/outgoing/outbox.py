"""The outbox: events for outside are rows of the commit that makes what they tell of visible.

So none is lost and none tells of what is not: a task for each target delivers them in order and
deletes what was acknowledged. At least once, with ids that stay the same.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from afresh.assets.errors import UsageError
from afresh.assets.graph import Graph
from afresh.assets.manifest import Manifest
from afresh.assets.selection import select
from afresh.daemon.outgoing.event import Origin, committed, deleted
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import Read

_log = logging.getLogger("afresh.outgoing")
WHOLE = "*"
_VERSION = (
    "SELECT version, fingerprint, columns, rows, bytes, uri, hash, schema_version, code_version,"
    " run, created_at, start_row, end_row FROM version"
    " WHERE asset = :asset AND partition = :partition AND version = :version"
)
_FIELDS = (
    "version", "fingerprint", "columns", "rows", "bytes", "uri", "hash", "schema_version",
    "code_version", "run", "created_at", "start_row", "end_row",
)  # fmt: skip
_COUNTS = "SELECT target, COUNT(*) FROM outgoing GROUP BY target"
_BEGUN = "SELECT MIN(loaded_at) FROM definitions"
_LAST = "SELECT COALESCE(MAX(number), 0) FROM outgoing"

Parts = Callable[[str, str, int, int], Sequence[Mapping[str, Any]]]
"""Of a stream's unit, in which artifacts its rows from one to another (excluded) are."""


class Outbox:
    """What each target is to be told. `selections` are those of the targets, by their names."""

    def __init__(
        self,
        name: str,
        selections: Mapping[str, str],
        read: Read,
        *,
        manifest: Callable[[], Manifest],
        parts: Parts,
        now: Callable[[], float],
        depth: Callable[[str, str], int] = lambda _asset, _run: 0,
    ) -> None:
        self._name = name
        self._selections = selections
        self._read = read
        self._manifest = manifest
        self._parts = parts
        self._now = now
        self._depth = depth
        self._number = int(read(_LAST, {})[0][0])
        self.waiting: dict[str, int] = dict.fromkeys(selections, 0)
        self.waiting |= {str(target): int(count) for target, count in read(_COUNTS, {})}
        self._digest: str | None = None
        self._graph = Graph(Manifest(""))
        self._chosen: dict[str, frozenset[str]] = {}
        self._news = anyio.Event()
        self._begun: Origin | None = None

    def rows(self, updates: Sequence[Update]) -> list[Update]:
        """Give the rows for what these updates make visible.

        New definitions are alone in their commit. Units that they leave out were not deleted.
        """
        if not self._selections or any(update.table == "definitions" for update in updates):
            return []
        made: dict[tuple[str, str, int], Mapping[str, Any]] = {}
        valid: list[Mapping[str, Any]] = []
        for update in updates:
            if update.table == "version" and update.op == "insert":
                for row in update.rows:
                    made[row["asset"], row["partition"], row["version"]] = row
            elif update.table == "validity" and update.op != "delete":
                valid += update.rows
        found = []
        for row in valid:
            targets = [name for name in self._selections if self._is_for(name, row)]
            if not targets:
                continue
            payload = self._event(row, made)
            for target in targets:
                self._number += 1
                self.waiting[target] += 1
                found.append(
                    {
                        "number": self._number,
                        "target": target,
                        "payload": payload,
                        "at": self._now(),
                    }
                )
        return [Update("insert", "outgoing", found)] if found else []

    def tell(self) -> None:
        """Let targets look: rows have become durable."""
        self._news.set()
        self._news = anyio.Event()

    def forget(self, target: str, count: int) -> None:
        """So many for a target wait no more."""
        self.waiting[target] = max(0, self.waiting.get(target, 0) - count)

    async def news(self) -> None:
        """Wait until there may be more."""
        await self._news.wait()

    def _origin(self) -> Origin:
        if self._begun is None:
            (found,) = self._read(_BEGUN, {})[0]
            self._begun = Origin(self._name, int((found or self._now()) * 1000))
        return self._begun

    def _event(
        self, row: Mapping[str, Any], made: Mapping[tuple[str, str, int], Mapping[str, Any]]
    ) -> str:
        number = row["version"]
        if number is None:
            return deleted(self._origin(), row, self._now())
        key = {"asset": row["asset"], "partition": row["partition"], "version": number}
        version = made.get((row["asset"], row["partition"], number))
        if version is None:
            (values,) = self._read(_VERSION, key)
            version = dict(zip(_FIELDS, values, strict=True))
        parts: Sequence[Mapping[str, Any]] = ()
        if version.get("end_row") is not None:
            start = version.get("start_row") or 0
            parts = self._parts(row["asset"], row["partition"], start, version["end_row"])
        depth = self._depth(row["asset"], version["run"])
        return committed(self._origin(), row, version, parts, depth)

    def _is_for(self, target: str, row: Mapping[str, Any]) -> bool:
        text = self._selections[target]
        if not text:
            return True
        self._follow(self._manifest())
        if "[" in text:
            unit = (row["asset"], row["partition"])
            return unit in _select(target, text, self._graph, [unit])
        chosen = self._chosen.get(target)
        if chosen is None:
            units = [(asset, WHOLE) for asset in self._graph.assets]
            chosen = frozenset(asset for asset, _ in _select(target, text, self._graph, units))
            if not chosen:
                _log.warning("outgoing %s: no asset is of select = %r", target, text)
            self._chosen[target] = chosen
        return row["asset"] in chosen

    def _follow(self, manifest: Manifest) -> None:
        """Know the definitions in force: what is selected is worked out once for them."""
        if self._digest != manifest.digest:
            self._digest, self._graph, self._chosen = manifest.digest, Graph(manifest), {}


def _select(
    target: str, text: str, graph: Graph, units: Sequence[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Give what is selected; names that the definitions do not have (any more) select nothing."""
    try:
        return select(text, graph, units, _no_state)
    except UsageError as error:
        _log.debug("outgoing %s: %s", target, error)
        return set()


def _no_state(_asset: str, _partition: str) -> str:
    """States are of moments: what is told outside does not hang on them."""
    return ""
