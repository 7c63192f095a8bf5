"""Hands on what another daemon tells of one asset: each state of a unit once, in order.

How the events come is another sensor's business (a topic, a webhook, a file), which this one runs:
its cursor is part of ours, its acknowledgement is ours.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from afresh.assets.manifest import Sensor as Declared
from afresh.assets.partition import decode_key
from afresh.sensors.base import Arrival, Batch, Emit, Health, Sensor, SensorContext
from afresh.sensors.cloudevents import from_http
from afresh.sensors.records import Record, decode_records
from afresh.sensors.upstreams.events import News, Stand, read, stand_of

_log = logging.getLogger("afresh.upstream")
MOST_GONE = 100
"""So many deletions are remembered; of all else the ledger knows each unit's last state."""
_BINARY = "ce_specversion"
_INNER = {
    "kafka": "afresh.sensors.kafka_topics.build:build",
    "lines": "afresh.sensors.upstreams.lines:LineSensor",
    "webhook": "afresh.sensors.webhooks.sensor:build",
}


class Cursor(msgspec.Struct, frozen=True):
    """Where the inner sensor is, and the ids of the last deletions."""

    at: str = ""
    gone: tuple[str, ...] = ()


class UpstreamSensor:
    """One asset of another daemon."""

    kind = "upstream"

    def __init__(self, context: SensorContext) -> None:
        self.name = context.source.name
        options = context.source.sensor.options
        self._asset = str(options["asset"])
        self._context = context
        self._cursor = (
            msgspec.json.decode(context.cursor, type=Cursor) if context.cursor else Cursor()
        )
        self._strange = 0
        self._other_keys = 0
        self._turn = anyio.Lock()
        source = msgspec.structs.replace(
            context.source, sensor=Declared(str(options["kind"]), dict(options["options"]))
        )
        module, _, name = _INNER[str(options["kind"])].partition(":")
        inner = replace(context, source=source, cursor=self._cursor.at, known={})
        self._inner: Sensor = getattr(import_module(module), name)(inner)

    @property
    def health(self) -> Health:
        """How what brings the events is."""
        health = self._inner.health
        notes = [health.note] if health.note else []
        if self._strange:
            notes.append(f"{self._strange} events were not of afresh, or could not be read")
        if self._other_keys:
            notes.append(
                f"{self._other_keys} events have other keys than partitions= says and wait"
            )
        return msgspec.structs.replace(health, note="; ".join(notes))

    @property
    def checked(self) -> bool:
        """Has it looked at everything that was there when it started."""
        return self._inner.checked

    @property
    def is_quiet(self) -> bool:
        """Is all that came acknowledged."""
        return self._inner.is_quiet

    async def scan(self, *, accept: bool = False) -> int:
        """Let the inner one look."""
        return await self._inner.scan(accept=accept)

    async def run(self, emit: Emit) -> None:
        """Hand on until cancelled. Raises SensorError."""

        async def translate(batch: Batch) -> None:
            # One at a time: what is news depends on what was recorded before.
            async with self._turn:
                await self._hand_on(batch, emit)

        await self._inner.run(translate)

    async def _hand_on(self, batch: Batch, emit: Emit) -> None:
        gone = list(self._cursor.gone)
        arrivals = await self._news(batch, gone)
        cursor = Cursor(batch.cursor or self._cursor.at, tuple(gone[-MOST_GONE:]))
        text = msgspec.json.encode(cursor).decode()
        # Several states of a unit at once are one after the other: none takes another's place.
        for first, last in _runs(arrivals):
            part = tuple(arrivals[first:last])
            await emit(Batch(self.name, part, text if last == len(arrivals) else ""))
        if not arrivals and cursor != self._cursor:
            await emit(Batch(self.name, (), text))
        self._cursor = cursor
        for arrival in batch.arrivals:
            if arrival.staged:
                Path(arrival.staged).unlink(missing_ok=True)  # noqa: ASYNC240 - one system call

    async def _news(self, batch: Batch, gone: list[str]) -> list[Arrival]:
        """Give what is new to us of what came, in order; `gone` is added to."""
        arrivals: list[Arrival] = []
        newest: dict[str, Stand] = {}
        for arrival in batch.arrivals:
            if arrival.kind in ("gap", "news"):
                arrivals.append(arrival)
                continue
            for record in await self._records(arrival):
                found = self._read(record)
                arrivals += [
                    self._held_against_keys(news.arrival)
                    for news in found
                    if self._is_new(news, newest, gone)
                ]
        return arrivals

    def _held_against_keys(self, arrival: Arrival) -> Arrival:
        """Say of what has keys of other dimensions that it waits for definitions that it fits."""
        captures, key = self._context.source.captures, arrival.partition or ""
        if len(decode_key(key)) == len(captures):
            return arrival
        self._other_keys += 1
        wanted = f"a key of {', '.join(captures)}" if captures else "no key"
        detail = f"Expected {wanted}, found {key!r}: it waits until partitions= says what it has"
        return msgspec.structs.replace(arrival, detail=detail)

    async def _records(self, arrival: Arrival) -> list[Record]:
        if not arrival.staged:
            return decode_records(arrival.payload)
        data = await anyio.to_thread.run_sync(Path(arrival.staged).read_bytes)
        return decode_records(data)

    def _read(self, record: Record) -> list[News]:
        """Read the events of a record; what is none is counted and left."""
        try:
            headers, body = _http_form(record)
            now = self._context.now()
            events = from_http(headers, body) or []
            found = [read(event, self._asset, now) for event in events]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            self._strange += 1
            _log.warning("upstream %s: an event cannot be read: %r", self.name, error)
            return []
        return [news for news in found if news is not None]

    def _is_new(self, news: News, newest: dict[str, Stand], gone: list[str]) -> bool:
        """Say whether a unit was not yet at this state; note it."""
        known = newest.get(news.uri)
        if known is None and (recorded := self._context.known.get(news.uri)):
            known = stand_of(recorded)
        if known is not None and news.stand <= known:
            return False
        if news.arrival.kind == "deleted":
            if news.id in gone:
                return False
            gone.append(news.id)
        newest[news.uri] = news.stand
        return True


def _runs(arrivals: list[Arrival]) -> list[tuple[int, int]]:
    """Cut where a unit comes again: within a batch of the journal deletions come first."""
    found: list[tuple[int, int]] = []
    first, seen = 0, set[str]()
    for place, arrival in enumerate(arrivals):
        unit = arrival.uri.removesuffix("#deleted")
        if unit in seen:
            found.append((first, place))
            first, seen = place, set()
        seen.add(unit)
    if first < len(arrivals):
        found.append((first, len(arrivals)))
    return found


def _http_form(record: Record) -> tuple[Mapping[str, str], bytes]:
    """Give a record as HTTP would bring it: headers of Kafka and of a webhook begin with `ce_`."""
    headers = {name.lower(): (value or b"").decode() for name, value in record.headers}
    if _BINARY in headers:
        headers = {
            "ce-" + name[3:] if name.startswith("ce_") else name: value
            for name, value in headers.items()
        }
    else:
        headers = {"content-type": "application/cloudevents+json"}
    return headers, record.value or b""


def build(context: SensorContext) -> UpstreamSensor:
    """Make the sensor of a source."""
    return UpstreamSensor(context)
