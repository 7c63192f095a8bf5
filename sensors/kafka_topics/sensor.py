"""The Kafka sensor: it stays, whatever happens to the broker, and is at one place in the topic.

What it has read is what was acknowledged: `_place` moves with the cursor of the ledger alone.
"""

from collections.abc import Mapping

import anyio
import msgspec
from aiokafka.errors import KafkaError

from afresh.assets.errors import SensorError
from afresh.sensors.backoff import Backoff
from afresh.sensors.base import Batch, Emit, Health, SensorContext
from afresh.sensors.kafka_topics.advice import advise
from afresh.sensors.kafka_topics.client import Trouble, connected
from afresh.sensors.kafka_topics.following import Following
from afresh.sensors.kafka_topics.offsets import Cursor, lag
from afresh.sensors.kafka_topics.security import client_settings
from afresh.sensors.kafka_topics.settings import SMALLEST_FETCH_BYTES, Pace, Settings


class KafkaSensor:
    """One topic, read without a group: its partitions are assigned here."""

    kind = "kafka"

    def __init__(self, context: SensorContext, pace: Pace) -> None:
        self.name = context.source.name
        self.checked = False
        self._context = context
        self._pace = pace
        self._settings = msgspec.convert(context.source.sensor.options, Settings)
        self._cursor = _cursor(context.cursor)
        self._health = Health("scanning")
        self._busy = False
        self._ends: dict[int, int] = {}
        self._targets: Mapping[int, int] | None = None
        self._emitted = 0
        self._fetch_bytes = self._settings.batch_bytes
        self._emit: Emit | None = None
        self._following: Following | None = None
        self._news = anyio.Event()

    @property
    def health(self) -> Health:
        """How it is; the lag is in offsets, as the broker said last."""
        return self._health

    @property
    def is_quiet(self) -> bool:
        """Is all that it took acknowledged."""
        return not self._busy

    async def run(self, emit: Emit) -> None:
        """Read until cancelled. Trouble with the broker is not the end: it is tried again."""
        self._emit = emit
        backoff = Backoff(self._context.random, self._pace.first_pause, self._pace.longest_pause)
        try:
            while True:
                before = self._cursor
                try:
                    await self._follow()
                except Trouble as trouble:
                    self.tell(state="failed", error=trouble.error, hint=trouble.hint)
                moved = self._cursor is not before
                self._choose_size(moved=moved)
                if moved:
                    backoff.reset()
                await anyio.sleep(backoff.next_seconds())
        finally:
            self._emit = None
            self._busy = False
            self._wake()

    def _choose_size(self, *, moved: bool) -> None:
        """Ask for less where records are there and do not come through, then for more again."""
        if moved:
            self._fetch_bytes = min(2 * self._fetch_bytes, self._settings.batch_bytes)
        elif self._health.lag:
            smallest = min(SMALLEST_FETCH_BYTES, self._settings.batch_bytes)
            self._fetch_bytes = max(self._fetch_bytes // 4, smallest)

    async def _follow(self) -> None:
        """Live through one connection."""
        settings = self._settings
        try:
            security = client_settings(settings.security, self._context.project)
        except SensorError as error:  # a file or a secret may come to be there
            raise Trouble(error.error, hint=error.hint) from error
        async with connected(
            settings.topic,
            settings.servers,
            fetch_bytes=self._fetch_bytes,
            security=security,
            advise=lambda why: advise(why, settings.security),
        ) as client:
            following = Following(client, self, settings, self._pace, self._context)
            try:
                self._following = following
                await following.run()
            finally:
                self._following = None
                self._busy = False
                self._wake()

    async def scan(self, *, accept: bool = False) -> int:
        """Read up to where the topic ends now; return how many batches and gaps were recorded.

        Raises SensorError while there is no connection.
        """
        del accept  # what is gone from a topic is recorded by itself
        while self._health.state == "scanning" and self._emit is not None:
            await self._news.wait()  # it has just begun to run
        following = self._following
        if following is None or self._health.state != "watching":
            raise self._not_well("it is not running")
        before = self._emitted
        try:
            ends = await following.ends()
        except (KafkaError, TimeoutError) as error:
            raise self._not_well(str(error) or type(error).__name__) from error
        while self._busy or not self._reached(following.places, ends):
            await self._news.wait()
            if self._following is not following:
                raise self._not_well("it stopped")
        return self._emitted - before

    def _not_well(self, otherwise: str) -> SensorError:
        return SensorError(
            f"Expected a running sensor {self.name!r}, found: {self._health.error or otherwise}",
            hint=self._health.hint or "see `afresh sensors`",
        )

    # What a `Following` tells.

    @property
    def cursor(self) -> Cursor | None:
        """The place that was acknowledged; None where nothing was read yet."""
        return self._cursor

    @property
    def known_ends(self) -> Mapping[int, int]:
        """The ends of the logs as they were seen last, also by earlier connections."""
        return self._ends

    async def emit(self, batch: Batch, cursor: Cursor) -> None:
        """Hand on a batch; when it is acknowledged, the cursor is what we have read."""
        assert self._emit is not None
        await self._emit(batch)
        self._cursor = cursor
        self._emitted += len(batch.arrivals)

    def take_up(self) -> None:
        """Records are in hand that nobody acknowledged yet."""
        self._busy = True

    def lay_down(self) -> None:
        """All is acknowledged."""
        self._busy = False

    def see(self, places: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Note where we are and where the topic ends."""
        self._ends.update(ends)
        if self._targets is None:
            self._targets = dict(ends)
        if not self.checked and self._reached(places, self._targets):
            self.checked = True
        self.tell(lag=lag(places, self._ends))
        self._wake()

    def forget_ends(self) -> None:
        """It is another topic: what was known of the old one does not count."""
        self._ends = {}
        self._targets = None

    def tell(self, **changes: object) -> None:
        """Change the health, and tell of it if it is another."""
        if changes.get("state") == "watching":
            changes = {"error": "", "hint": "", **changes}
        health = msgspec.structs.replace(self._health, **changes)
        if health != self._health:
            loud = (health.state, health.error) != (self._health.state, self._health.error)
            self._health = health
            if loud:
                self._wake()
                self._context.tell()

    @staticmethod
    def _reached(places: Mapping[int, int], ends: Mapping[int, int]) -> bool:
        # A partition that is not known yet has been read up to nowhere.
        return all(places.get(partition, -1) >= end for partition, end in ends.items())

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


def _cursor(text: str) -> Cursor | None:
    try:
        return Cursor.decode(text) if text else None
    except ValueError as error:
        raise SensorError(
            str(error), hint="the source was of another kind: give it another name"
        ) from error
