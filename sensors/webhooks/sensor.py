"""A webhook at work: checks who calls, records each delivery once, answers when it is durable."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from afresh.assets.errors import SensorError
from afresh.sensors.base import Arrival, Batch, Emit, Health, ObjectIdentity, SensorContext
from afresh.sensors.depth import depth_of
from afresh.sensors.http_route import HttpRequest, HttpResponse, HttpRoutes, Route
from afresh.sensors.records import INLINE_BYTES, encode_records
from afresh.sensors.secret import Secret
from afresh.sensors.staged import stage
from afresh.sensors.webhooks.deliveries import Delivery, read, uri_of
from afresh.sensors.webhooks.memory import Memory
from afresh.sensors.webhooks.rate import Bucket
from afresh.sensors.webhooks.signature import FORMS, Forged, Signed, secret_bytes, verify

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

_log = logging.getLogger("afresh.webhook")
ACKNOWLEDGE_SECONDS = 15.0
"""How long a caller waits for the ledger; then it is told to come again."""
RETRY_AFTER_SECONDS = 5
MOST_WAITING = 2_000
MOST_WAITING_BYTES = 32 << 20
"""What may wait for the ledger at most; above it callers are told to come again."""
FORGET_EACH_SECONDS = 600.0
TELL_FORGED_SECONDS = 60.0


class _Flight:
    """Deliveries on their way to the ledger; whoever repeats one waits for the same end."""

    def __init__(self, new: Mapping[str, Delivery], size: int) -> None:
        self.new = new
        self.size = size
        self.ended = anyio.Event()
        self.recorded = False


class Options(msgspec.Struct, frozen=True):
    """What `webhook(...)` put into the manifest."""

    path: str
    secrets: tuple[Secret, ...]
    signature: str
    tolerance_seconds: float
    remember_seconds: float
    max_bytes: int
    rate: float | None
    key_header: str
    headers: tuple[str, ...]


class WebhookSensor:
    """One path. What it recorded is remembered in the ledger's rows of paths, a key each."""

    kind = "webhook"

    def __init__(self, context: SensorContext, http: HttpRoutes) -> None:
        self.name = context.source.name
        self.checked = False
        self._context = context
        self._http = http
        self._options = msgspec.convert(context.source.sensor.options, Options)
        form = FORMS[self._options.signature]
        if self._options.key_header:
            form = msgspec.structs.replace(form, key=self._options.key_header, field="")
        self._form = form
        self._health = Health("scanning")
        self._secrets: list[bytes] = []
        self._bucket: Bucket | None = None
        self._flights: dict[str, _Flight] = {}
        self._waiting_bytes = 0
        self._memory = Memory(
            context.known,
            tolerance_seconds=self._options.tolerance_seconds,
            remember_seconds=self._options.remember_seconds,
        )
        self._tasks: TaskGroup | None = None
        self._emit: Emit | None = None
        self._told_forged_at = float("-inf")

    @property
    def health(self) -> Health:
        """How it is; it lags by what waits for the ledger."""
        return msgspec.structs.replace(self._health, lag=len(self._flights))

    @property
    def is_quiet(self) -> bool:
        """Is all that was taken recorded."""
        return not self._flights

    async def scan(self, *, accept: bool = False) -> int:
        """Find nothing: others call."""
        del accept
        return 0

    async def run(self, emit: Emit) -> None:
        """Serve the path until cancelled. Raises SensorError: no secret, no address to listen."""
        options = self._options
        self._secrets = [secret_bytes(self._form, secret.read()) for secret in options.secrets]
        self._bucket = Bucket(options.rate, self._context.now()) if options.rate else None
        self._emit = emit
        await self._memory.recall(self._context.now())
        try:
            async with anyio.create_task_group() as self._tasks:
                route = Route(self._answer, options.max_bytes)
                async with self._http.serving(options.path, route) as address:
                    self._health = Health("watching", note=f"{address}{options.path}")
                    self.checked = True
                    self._context.tell()
                    while True:
                        await self._memory.forget(self._context.now(), self.name, emit)
                        await anyio.sleep(FORGET_EACH_SECONDS)
        finally:
            self._tasks = None
            for flight in self._flights.values():
                flight.ended.set()
            self._flights.clear()
            self._waiting_bytes = 0

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        now = self._context.now()
        try:
            signed = self._verify(request, now)
        except Forged as error:
            self._tell_forged(str(error), now)
            return HttpResponse(401, {"error": str(error)})
        unique = f"{int(now * 1e6)}-{self._context.random.getrandbits(64):016x}"
        try:
            deliveries = read(
                self._form, request, signed, now=now, keep=self._options.headers, unique=unique
            )
        except ValueError as error:
            return HttpResponse(400, {"error": str(error)})
        return await self._record(deliveries, signed, len(request.body), now)

    def _verify(self, request: HttpRequest, now: float) -> Signed | None:
        if not self._options.secrets:
            return None
        return verify(
            self._form,
            self._secrets,
            request.headers,
            request.body,
            now=now,
            tolerance_seconds=self._options.tolerance_seconds,
        )

    async def _record(
        self, deliveries: Sequence[Delivery], signed: Signed | None, size: int, now: float
    ) -> HttpResponse:
        """Record what is new, wait for what is on its way, answer for all of it.

        Nothing is awaited between looking for a key and noting that it is on its way.
        """
        new: dict[str, Delivery] = {}
        flights: dict[int, _Flight] = {}
        for delivery in deliveries:
            uri = uri_of(self._options.path, delivery.key)
            flight = self._flights.get(uri)
            if flight is not None:
                flights[id(flight)] = flight
                digest = flight.new[uri].digest
            else:
                digest = self._memory.digest_of(uri)
            if not digest:
                new[uri] = delivery
            elif digest != delivery.digest:
                text = f"Expected the body that came first with {delivery.key!r}, found another"
                return HttpResponse(422, {"error": text})
        repeated = not new
        if new:
            refused = self._refuse(new, signed, size, now)
            if refused is not None:
                return refused
            flight = self._start(new, signed, size, now)
            flights[id(flight)] = flight
        with anyio.move_on_after(ACKNOWLEDGE_SECONDS):
            for flight in flights.values():
                await flight.ended.wait()
        if not all(flight.recorded for flight in flights.values()):
            return _later("the ledger cannot be written at present")
        headers = {"Idempotency-Replayed": "true"} if repeated else {}
        return HttpResponse(202, {"recorded": [item.key for item in deliveries]}, headers)

    def _refuse(
        self, new: Mapping[str, Delivery], signed: Signed | None, size: int, now: float
    ) -> HttpResponse | None:
        """Say why new deliveries are not taken now, if so."""
        if self._memory.is_used(signed):
            text = "Expected a signature of its own for each delivery, found one used before"
            self._tell_forged(text, now)
            return HttpResponse(401, {"error": text})
        if (
            self._tasks is None
            or len(self._flights) >= MOST_WAITING
            or self._waiting_bytes + size > MOST_WAITING_BYTES
        ):
            return _later("too much waits for the ledger")
        wait = self._bucket.take(len(new), now) if self._bucket is not None else 0.0
        if wait > 0:
            text = f"Expected at most {self._options.rate:g} deliveries a second, found more"
            return HttpResponse(429, {"error": text}, {"Retry-After": str(int(wait) + 1)})
        return None

    def _start(
        self, new: Mapping[str, Delivery], signed: Signed | None, size: int, now: float
    ) -> _Flight:
        flight = _Flight(new, size)
        self._waiting_bytes += size
        self._flights |= dict.fromkeys(new, flight)
        self._memory.use(signed)
        assert self._tasks is not None
        self._tasks.start_soon(self._fly, flight, signed, now)
        return flight

    async def _fly(self, flight: _Flight, signed: Signed | None, now: float) -> None:
        """Bring deliveries into the ledger. What is not recorded is not answered 202."""
        emit = self._emit
        assert emit is not None
        try:
            arrivals = await self._arrivals(flight.new, signed, now)
            await emit(Batch(self.name, tuple(arrivals)))
            flight.recorded = True
        except OSError as error:
            _log.warning("webhook %s cannot record what came: %s", self._options.path, error)
        finally:
            if not flight.recorded:
                self._memory.release(signed)
            for uri in flight.new:
                self._flights.pop(uri, None)
            self._waiting_bytes -= flight.size
            flight.ended.set()

    async def _arrivals(
        self, new: Mapping[str, Delivery], signed: Signed | None, now: float
    ) -> list[Arrival]:
        """Make the arrivals of deliveries; staged are all of them or none. Raises OSError."""
        arrivals: list[Arrival] = []
        try:
            for uri, delivery in new.items():
                arrivals.append(await self._arrival(uri, delivery, signed, now))
        except OSError:
            for arrival in arrivals:
                if arrival.staged:
                    Path(arrival.staged).unlink(missing_ok=True)  # noqa: ASYNC240 - one system call
            raise
        return arrivals

    async def _arrival(
        self, uri: str, delivery: Delivery, signed: Signed | None, now: float
    ) -> Arrival:
        payload, staged = encode_records([delivery.record]), ""
        if len(payload) > INLINE_BYTES:
            path = Path(self._context.staging, f"{self._context.random.getrandbits(128):032x}")
            await anyio.to_thread.run_sync(stage, path, payload)
            payload, staged = b"", str(path)
        digest = signed.digest.hex() if signed is not None and signed.at is not None else ""
        size = len(delivery.record.value or b"")
        return Arrival(
            uri=uri,
            kind="arrived",
            partition="",
            observed_at=now,
            identity=ObjectIdentity(delivery.digest, digest, size, now),
            payload=payload,
            staged=staged,
            depth=depth_of(delivery.record.headers),
        )

    def _tell_forged(self, text: str, now: float) -> None:
        if now - self._told_forged_at >= TELL_FORGED_SECONDS:
            self._told_forged_at = now
            _log.warning("webhook %s refused a call: %s", self._options.path, text)


def _later(why: str) -> HttpResponse:
    return HttpResponse(503, {"error": why}, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def build(context: SensorContext) -> WebhookSensor:
    """Make the sensor of a source. Raises SensorError where there is no HTTP server."""
    if context.http is None:
        raise SensorError("Expected an HTTP server in the daemon, found none")
    return WebhookSensor(context, context.http)
