"""What a running daemon can be asked to do.

The API's `Controls` over reactor, sensors and generations.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol

import anyio
import msgspec
from msgspec.structs import replace

from afresh.assets.errors import UsageError
from afresh.assets.manifest import Manifest
from afresh.assets.planner.changes import Paused, Requested
from afresh.assets.planner.planner import Change
from afresh.daemon.api.view import Key
from afresh.daemon.journal import Recorded
from afresh.daemon.pauses import switch_rows
from afresh.daemon.reactor import Reactor
from afresh.daemon.run_lines import event_line
from afresh.daemon.sensing.supervisor import Supervisor
from afresh.daemon.streams.dead_letters import letters_under_way, replay_batch, replaying_rows
from afresh.daemon.waiting import Waiting
from afresh.sensors.base import Batch, Judging
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.state import PauseRow

_PAGE = 10_000


class Reloads(Protocol):
    """What takes over new definitions."""

    manifest: Manifest

    async def reload(self, digest: str) -> None:
        """Take over what is on disk unless it is in force."""
        ...


class DaemonControls:
    """Changes come in here with a request id; one that was done before is not done again."""

    def __init__(
        self,
        reactor: Reactor,
        supervisor: Supervisor,
        definitions: Reloads,
        reader: Reader,
        stop: Callable[[], None],
        *,
        heads_done: Callable[[set[str] | None], Awaitable[None]],
    ) -> None:
        self._reactor = reactor
        self._supervisor = supervisor
        self._definitions = definitions
        self._reader = reader
        self._stop = stop
        self._waiting = Waiting(reactor, heads_done)

    async def materialize(self, request: str, units: Sequence[Key], *, force: bool) -> list[Key]:
        """Ask for units and what they need; failed ones are tried again."""
        covered = self._expand(units)
        if self._seen(request):
            return covered
        journal, now = self._reactor.journal, self._reactor.ports.now()

        def make(epoch: int) -> tuple[list[Update], list[Change]]:
            names = ", ".join(sorted({asset for asset, _ in covered})[:5])
            event = journal.request("request", "", names, now, epoch)
            rows = [
                Update("insert", "event", [event]),
                self._request_row(request, "materialize", now),
            ]
            return rows, [Requested(epoch, tuple(covered), force, event["seq"])]

        await self._reactor.tell(make)
        return covered

    async def cancel(self, request: str, run: str) -> bool:
        """End a run that is under way."""
        del request
        return self._reactor.cancel(run)

    async def pause(
        self, request: str, kind: Literal["asset", "sensor"], names: Sequence[Key]
    ) -> None:
        """Stop automation; nothing is lost."""
        await self._switch(request, kind, names, on=True)
        if kind == "sensor":
            for name, _ in names:
                self._supervisor.pause(name)

    async def resume(
        self, request: str, kind: Literal["asset", "sensor"], names: Sequence[Key]
    ) -> None:
        """Start it again: one run a unit takes all that came meanwhile."""
        await self._switch(request, kind, names, on=False)
        if kind == "sensor":
            sources = {source.name: source for source in self._definitions.manifest.sources}
            for name, _ in names:
                if name in sources:
                    self._supervisor.resume(name, sources[name])

    async def scan(self, sensor: str, *, accept: bool = False) -> int:
        """Scan now, all sensors for an empty name."""
        return await self._supervisor.scan(sensor, accept=accept)

    async def scan_all(self, timeout_seconds: float | None) -> float | None:
        """Scan all sensors; how many seconds of the time are left, 0 where it is over."""
        if timeout_seconds is None:
            await self._supervisor.scan("", accept=False)
            return None
        end = anyio.current_time() + timeout_seconds
        # What a store or a full disk holds up, holds up no answer.
        with anyio.move_on_after(timeout_seconds):
            await self._supervisor.scan("", accept=False)
            return max(0.0, end - anyio.current_time())
        return 0.0

    async def reset(self, request: str, sensor: str) -> None:
        """Forget where a sensor was, and let it look at all as if it were new.

        Raises UsageError for an unknown name, SensorError where it cannot look.
        """
        sources = {source.name: source for source in self._definitions.manifest.sources}
        if sensor not in sources:
            raise UsageError(f"Expected a sensor's name, found {sensor!r}")

        async def forget() -> None:
            await self._forget(request, sensor)

        await self._supervisor.reset(sources[sensor], forget)

    async def _forget(self, request: str, sensor: str) -> None:
        """Drop the cursor and what is known of each path; the journal keeps where it was."""
        if self._seen(request):
            return
        journal, now = self._reactor.journal, self._reactor.ports.now()
        paths = self._reader.rows(queries.PATHS, {"sensor": sensor})
        cursor = self._reader.rows(queries.CURSOR, {"sensor": sensor})
        was = str(cursor[0][0]) if cursor else f"{len(paths)} known names"

        def make(epoch: int) -> tuple[list[Update], list[Change]]:
            event = journal.request(
                "request", sensor, f"reset by hand; it was at {was}", now, epoch
            )
            rows = [{"sensor": sensor, "uri": uri} for uri, _, _ in paths]
            return [
                Update("insert", "event", [event]),
                Update("delete", "path", rows),
                Update("delete", "cursor", [{"sensor": sensor}]),
                self._request_row(request, "reset", now),
            ], []

        await self._reactor.tell(make)

    async def record(self, request: str, op: str, batches: Sequence[Batch]) -> list[int]:
        """Record arrivals that somebody made by hand; the seqs of their events."""
        answered = self._reader.rows(queries.REQUEST, {"id": request})
        if answered:
            return msgspec.json.decode(answered[0][2], type=list[int])
        reactor, now = self._reactor, self._reactor.ports.now()
        recorded = Recorded()
        judged = [self._judge(batch) for batch in batches]

        def make(_epoch: int) -> tuple[list[Update], list[Change]]:
            nonlocal recorded
            recorded = reactor.journal.record(judged, now)
            reactor.ports.on_events(recorded.events)
            seqs = [event["seq"] for event in recorded.events]
            row = self._request_row(request, op, now, seqs)
            return [*recorded.updates, row], [*recorded.changes]

        await reactor.tell(make)
        for event in recorded.events:
            reactor.ports.lines.send(event_line(event))
        return [event["seq"] for event in recorded.events]

    def _judge(self, batch: Batch) -> Batch:
        """Refuse what the sensor would: one of several files or objects of one key."""
        sensor = self._supervisor.sensors.get(batch.sensor)
        if not isinstance(sensor, Judging):
            return batch
        arrivals = tuple(
            replace(each, problem=sensor.refusal(each.uri, each.partition or ""))
            for each in batch.arrivals
        )
        return replace(batch, arrivals=arrivals)

    async def drop_outgoing(self, request: str, target: str) -> int:
        """Let go of what waits for a target of events; the journal says how many they were."""
        answered = self._reader.rows(queries.REQUEST, {"id": request})
        if answered:
            return msgspec.json.decode(answered[0][2], type=int)
        reactor, now = self._reactor, self._reactor.ports.now()
        count = 0
        while rows := self._reader.rows(queries.OUTGOING, {"target": target, "limit": _PAGE}):
            gone = Update("delete", "outgoing", [{"number": number} for (number,) in rows])
            await reactor.tell(_make(gone))
            count += len(rows)
        if reactor.ports.outbox is not None:
            reactor.ports.outbox.forget(target, count)

        def make(_epoch: int) -> tuple[list[Update], list[Change]]:
            detail = f"{count} events for {target} dropped by hand"
            event = reactor.journal.gap("", detail, "", now)
            row = self._request_row(request, "outgoing_drop", now, count)
            return [Update("insert", "event", [event]), row], []

        await reactor.tell(make)
        return count

    async def replay_letters(
        self, request: str, source: str, letters: Sequence[tuple[int, int, bytes]]
    ) -> list[tuple[int, int]]:
        """Bring dead letters again as events of their own; which of them (seq, number)."""
        answered = self._reader.rows(queries.REQUEST, {"id": request})
        if answered:
            return msgspec.json.decode(answered[0][2], type=list[tuple[int, int]])
        reactor, now = self._reactor, self._reactor.ports.now()
        recorded = Recorded()
        taken: list[tuple[int, int]] = []

        def make(_epoch: int) -> tuple[list[Update], list[Change]]:
            nonlocal recorded
            busy = letters_under_way(reactor.journal.pending.values())
            dead = set(self._reader.rows(queries.DEAD_LETTERS, {"source": source})) - busy
            left = [letter for letter in letters if letter[:2] in dead]
            taken.extend(letter[:2] for letter in left)
            recorded = reactor.journal.record([replay_batch(source, left, now)], now)
            reactor.ports.on_events(recorded.events)
            updates = [
                *recorded.updates,
                *replaying_rows(recorded.events),
                self._request_row(request, "replay", now, taken),
            ]
            return updates, [*recorded.changes]

        await reactor.tell(make)
        for event in recorded.events:
            reactor.ports.lines.send(event_line(event))
        return taken

    async def wait(self, units: Sequence[Key] | None, timeout_seconds: float | None) -> bool:
        """Return True when all that is recorded by now is settled; False when the time is over."""
        return await self._waiting.wait(units, timeout_seconds)

    async def reload(self, digest: str) -> None:
        """Take over the definitions on disk unless they are in force."""
        await self._definitions.reload(digest)

    async def stop(self) -> None:
        """Ask for a graceful stop."""
        self._stop()

    def subscribe(self) -> AsyncIterator[dict[str, Any]]:
        """Lines from now on."""
        return self._reactor.ports.lines.subscribe()

    def _expand(self, units: Sequence[Key]) -> list[Key]:
        planner = self._reactor.planner
        found: list[Key] = []
        for asset, key in units:
            plan, _ = planner.topology.assets.get(asset, (None, 0))
            if plan is None:
                continue
            if key == "*":
                found += [(asset, each) for each in sorted(planner.graph.nodes[plan.name])]
            else:
                found.append((asset, key))
        return found

    async def _switch(
        self, request: str, kind: Literal["asset", "sensor"], names: Sequence[Key], *, on: bool
    ) -> None:
        if self._seen(request):
            return
        now = self._reactor.ports.now()
        if kind == "asset" and not on:
            names = self._with_outputs(names)

        def make(_epoch: int) -> tuple[list[Update], list[Change]]:
            paused = [PauseRow(*row) for row in self._reader.rows(queries.PAUSES)]
            updates = switch_rows(kind, names, paused, now, on=on)
            changes: list[Change] = [Paused(tuple(names), on)] if kind == "asset" else []
            return [*updates, self._request_row(request, "pause" if on else "resume", now)], changes

        await self._reactor.tell(make)

    def _with_outputs(self, names: Sequence[Key]) -> list[Key]:
        """The other outputs of the same functions too: what runs for one runs for all."""
        assets = self._reactor.planner.topology.assets
        return [
            (output, key)
            for asset, key in names
            for output in (assets[asset][0].assets if asset in assets else (asset,))
        ]

    def _seen(self, request: str) -> bool:
        return bool(self._reader.rows(queries.REQUEST, {"id": request}))

    def _request_row(self, request: str, op: str, now: float, response: Any = True) -> Update:
        said = msgspec.json.encode(response).decode()
        row = {"id": request, "op": op, "at": now, "response": said}
        return Update("upsert", "request", [row])


def _make(update: Update) -> Callable[[int], tuple[list[Update], list[Change]]]:
    return lambda _epoch: ([update], [])
