"""One connection's life: bring cursor and topic together, then take, verify, stage, emit.

That a batch is of the topic and of the logs that the cursor means is asked after it was fetched:
a topic that was made anew, or a log that lost its end, is seen before anything of it is recorded.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import anyio

from afresh.assets.errors import SensorError
from afresh.sensors.base import Arrival, Batch, SensorContext
from afresh.sensors.depth import depth_of
from afresh.sensors.kafka_topics.client import Client, OffsetOutOfRangeError, Trouble
from afresh.sensors.kafka_topics.gather import Gathering
from afresh.sensors.kafka_topics.offsets import (
    Cursor,
    Gap,
    Topic,
    begin,
    lag,
    position_text,
    ranges,
    reconcile,
    uri,
)
from afresh.sensors.kafka_topics.settings import Pace, Settings
from afresh.sensors.kafka_topics.staging import Carried, carry


class Owner(Protocol):
    """The sensor: what outlives a connection."""

    name: str

    @property
    def cursor(self) -> Cursor | None:
        """The place that was acknowledged."""
        ...

    @property
    def known_ends(self) -> Mapping[int, int]:
        """The ends of the logs as they were seen last."""
        ...

    async def emit(self, batch: Batch, cursor: Cursor) -> None:
        """Hand on a batch, and move the cursor when it is acknowledged."""
        ...

    def take_up(self) -> None:
        """Records are in hand."""
        ...

    def lay_down(self) -> None:
        """All is acknowledged."""
        ...

    def see(self, places: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Note where we are and where the topic ends."""
        ...

    def forget_ends(self) -> None:
        """It is another topic."""
        ...

    def tell(self, **changes: object) -> None:
        """Change the health."""
        ...


class Following:
    """Reads on from the owner's cursor until something is wrong."""

    def __init__(
        self, client: Client, owner: Owner, settings: Settings, pace: Pace, context: SensorContext
    ) -> None:
        self._client = client
        self._owner = owner
        self._settings = settings
        self._pace = pace
        self._context = context
        self._gathering = Gathering(
            client,
            rows=settings.batch_rows,
            size=settings.batch_bytes,
            seconds=settings.batch_seconds,
            note=owner.take_up,
        )
        self.places: dict[int, int] = {}
        """The next offsets; they pass over what is no record before the cursor does."""
        self._looked_at = 0.0
        self._moved_at = 0.0

    async def ends(self) -> dict[int, int]:
        """Where the topic ends now."""
        return await self._client.ends()

    async def run(self) -> None:
        """Read until something is wrong, and raise that."""
        while True:
            cursor = await self._settle()
            self._client.assign(cursor.next)
            try:
                await self._read()
            except OffsetOutOfRangeError:
                self._owner.lay_down()  # what was taken is taken again
                await anyio.sleep(0.05)

    # Bringing the cursor and the topic together.

    async def _settle(self) -> Cursor:
        """Find where to go on, record what must be known, and give the cursor."""
        topic = await self._client.look(self._owner.cursor)
        before = self._owner.cursor
        if before is None:
            after, gaps = await self._begin(topic)
        else:
            after, gaps = reconcile(before, topic, self._owner.known_ends)
            if any(gap.kind == "anew" for gap in gaps):
                gaps, after, topic = await self._confirm(before, gaps)
        if before is None or topic.id != before.topic_id:
            self._owner.forget_ends()
        after = after.with_ends({p: log.end for p, log in topic.logs.items()})
        if gaps or before is None or before.next != after.next:
            await self._record(after, gaps)
        elif before.epochs != after.epochs:
            await self._owner.emit(Batch(self._owner.name, (), after.encode()), after)
        self.places = dict(after.next)
        self._owner.tell(state="watching")
        self._owner.see(self.places, {p: log.end for p, log in topic.logs.items()})
        self._looked_at = self._moved_at = anyio.current_time()
        return after

    async def _confirm(self, before: Cursor, gaps: list[Gap]) -> tuple[list[Gap], Cursor, Topic]:
        """Look twice before a log counts as one that lost its end: a new leader may lag."""
        while True:
            await anyio.sleep(self._pace.confirm)
            topic = await self._client.look(before)
            after, again = reconcile(before, topic, self._owner.known_ends)
            lost = [gap for gap in gaps if gap.kind == "anew"]
            if lost == [gap for gap in again if gap.kind == "anew"]:
                return again, after, topic
            gaps = again

    async def _begin(self, topic: Topic) -> tuple[Cursor, list[Gap]]:
        start = self._settings.start
        if isinstance(start, dict):
            wanted = {int(partition): offset for partition, offset in start.items()}
        elif start == "beginning":
            wanted = {}
        elif start == "end":
            wanted = {partition: log.end for partition, log in topic.logs.items()}
        else:
            at = datetime.fromisoformat(start).timestamp()
            wanted = await self._client.offsets_at(int(at * 1000), topic)
        try:
            return begin(topic, wanted)
        except ValueError as error:
            raise SensorError(
                f"{error} of {self._settings.topic!r}", hint="mend start= of the source"
            ) from error

    async def _record(self, cursor: Cursor, gaps: list[Gap]) -> None:
        """Record gaps and news together with the cursor that passes them."""
        topic = self._settings.topic
        arrivals = tuple(
            Arrival(
                uri=uri(topic, {gap.partition: (gap.start, gap.end)}),
                kind="news" if gap.is_news else "gap",
                partition="",
                observed_at=self._context.now(),
                position=position_text({gap.partition: (gap.start, gap.end)}),
                detail=gap.tell(topic, cursor.next.get(gap.partition)),
            )
            for gap in gaps
        )
        await self._owner.emit(Batch(self._owner.name, arrivals, cursor.encode()), cursor)
        loud = [arrival.detail for arrival in arrivals]
        if loud:
            more = f" (and {len(loud) - 1} more)" if len(loud) > 1 else ""
            self._owner.tell(note=loud[0] + more)

    # Reading.

    async def _read(self) -> None:
        """Read until the topic must be looked at anew."""
        while True:
            left = self._looked_at + self._pace.look - anyio.current_time()
            taken = await self._gathering.gather(max(0.0, min(left, 1.0)))
            await self._note_positions()
            if taken and not await self._hand_on(taken):
                return
            if anyio.current_time() - self._looked_at >= self._pace.look and await self._changed():
                return

    async def _note_positions(self) -> None:
        positions = await self._client.positions()
        if positions != self.places:
            self.places = positions
            self._moved_at = anyio.current_time()

    async def _hand_on(self, taken: Mapping[int, list[Any]]) -> bool:
        """Stage and emit a batch; False if it is of another topic than the cursor means."""
        before = self._owner.cursor
        assert before is not None
        if await self._client.identify() != (before.topic_id, before.epochs):
            self._owner.lay_down()
            return False
        self._owner.see(before.next, self._client.seen_ends())
        after = Cursor(before.topic_id, dict(self.places), before.epochs)
        after = after.with_ends(self._owner.known_ends)
        carried = await self._carry(taken)
        moved = ranges(before.next, after.next)
        arrival = Arrival(
            uri=uri(self._settings.topic, moved),
            kind="arrived",
            partition="",
            observed_at=self._context.now(),
            payload=carried.payload,
            staged=carried.staged,
            position=position_text(moved),
            depth=_depth(taken),
        )
        await self._owner.emit(Batch(self._owner.name, (arrival,), after.encode()), after)
        self._owner.lay_down()
        self._owner.see(self.places, {})
        return True

    async def _carry(self, taken: Mapping[int, Sequence[Any]]) -> Carried:
        try:
            return await carry(
                taken, self._context.staging, lambda: f"{self._context.random.getrandbits(64):016x}"
            )
        except OSError as error:
            raise Trouble(
                f"Expected to keep what was read in {self._context.staging}, found: "
                f"{error.strerror or error}",
                hint="it is read again and tried again; look at the room on that disk",
            ) from error

    async def _changed(self) -> bool:
        """Look at the topic: True if it must be settled anew. Raises Trouble if nothing moves."""
        cursor = self._owner.cursor
        assert cursor is not None
        if await self._client.identify() != (cursor.topic_id, cursor.epochs):
            return True
        ends = await self._client.ends()
        self._looked_at = anyio.current_time()
        self._owner.see(self.places, ends)
        if lag(self.places, ends) == 0:
            self._moved_at = self._looked_at
        elif self._looked_at - self._moved_at > self._pace.stalled:
            raise Trouble(
                f"Expected records of {self._settings.topic!r} that are there, found none for "
                f"{self._looked_at - self._moved_at:.0f} s",
                hint="the connection is made anew",
            )
        return False


def _depth(taken: Mapping[int, Sequence[Any]]) -> int:
    """How deep the deepest of these messages is."""
    return max(
        (depth_of(m.headers) for messages in taken.values() for m in messages if m.headers),
        default=0,
    )
