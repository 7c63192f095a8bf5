"""The sensor of a bucket: listings are the truth, notifications make it fast.

Whatever it learns goes one way: an object's state that is not the current one becomes an arrival.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from random import Random
from typing import Any, Literal, Protocol

import anyio
import msgspec

from afresh.assets.errors import SensorError, UsageError
from afresh.assets.partition import Pattern
from afresh.sensors.base import Batch, Emit, Health, ObjectIdentity, SensorContext
from afresh.sensors.buckets.lister import Lister
from afresh.sensors.buckets.looker import Looker
from afresh.sensors.buckets.objects import Objects
from afresh.sensors.buckets.options import hidden, resolve, secrets_in
from afresh.sensors.buckets.store import Store
from afresh.sensors.buckets.stores import open_store
from afresh.sensors.buckets.url import PROTOCOLS, object_path
from afresh.sensors.hints import HINTS

BATCH = 250
_CLOSE_SECONDS = 5.0
_identity = msgspec.json.Decoder(ObjectIdentity)
Look = Callable[[str, Callable[[], None]], None]
"""Asks for a look at a path; the second is called when what follows is acknowledged."""


class Notifications(Protocol):
    """Tells which objects may have changed."""

    error: str

    async def run(self, look: Look) -> None:
        """Pass on what comes, until cancelled; goes on by itself after errors."""
        ...


class BucketSensor:
    """The objects of one source. `known` is what the ledger recorded: uri to identity."""

    kind = "bucket"

    def __init__(
        self,
        *,
        name: str,
        pattern: Pattern,
        protocol: str,
        store: Store,
        interval_seconds: float,
        now: Callable[[], float],
        random: Random,
        known: Mapping[str, ObjectIdentity] | None = None,
        notifications: Notifications | None = None,
        webhook: str = "",
        secrets: Sequence[str] = (),
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._store = store
        self._protocol = protocol
        self._notifications = notifications
        self._webhook = webhook
        self._secrets = tuple(filter(None, secrets))
        self._look_error = ""
        self._tell = tell
        self._running = False
        self._objects = Objects(name, pattern, protocol, known or {})
        self._lister = Lister(
            self._objects,
            store,
            interval_seconds=interval_seconds,
            now=now,
            random=random,
            tell=tell,
            hide=self._hidden,
        )
        self._looker = Looker(
            self._objects,
            store,
            now=now,
            compare=lambda: self._lister.comparison,
            on_error=self._say_look_error,
            hide=self._hidden,
        )
        self._objects.on_again = self._looker.put

    @property
    def health(self) -> Health:
        """How it is now; `lag` counts arrivals that are not acknowledged and looks that are due."""
        lister = self._lister
        error = lister.error or lister.suspicion or self._look_error
        state: Literal["watching", "scanning", "failed"] = "watching"
        if error:
            state = "failed"
        elif not lister.checked:
            state = "scanning"
        note = ""
        if self._notifications is not None and self._notifications.error:
            note = f"no notifications: {self._notifications.error}"
        elif lister.unmatched:
            note = f"{lister.unmatched} objects below it match no pattern"
        return Health(
            state=state,
            error=self._hidden(error),
            lag=len(self._objects) + len(self._looker),
            hint=lister.hint,
            note=self._hidden(note),
        )

    @property
    def checked(self) -> bool:
        """Has one listing been complete."""
        return self._lister.checked

    @property
    def is_quiet(self) -> bool:
        """Is all that was seen acknowledged, and nothing waits for a second look."""
        return (
            self.checked
            and not len(self._objects)
            and not len(self._looker)
            and not self._objects.again
            and not self._lister.missed
        )

    async def run(self, emit: Emit) -> None:
        """Watch until cancelled. What `emit` raises is raised; run again, it is repeated."""
        self._running = True
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._lister.run)
                tasks.start_soon(self._looker.run)
                if self._notifications is not None:
                    tasks.start_soon(self._notifications.run, self._looker.put)
                with self._taking_hints():
                    try:
                        await self._drain(emit)
                    except Exception as error:  # noqa: BLE001 - raised below, as it is
                        failure = error
                        tasks.cancel_scope.cancel()
        finally:
            self._running = False
            self._objects.wake()
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await self._store.close()
        if failure is not None:
            raise failure

    async def scan(self, *, accept: bool = False) -> int:
        """List everything now, and return how many arrivals were acknowledged since.

        What is absent is looked for a second time at once. `accept` confirms that more than half
        was deleted on purpose. Raises SensorError when the store cannot be listed.
        """
        if not self._running:
            raise SensorError(
                f"Expected a running sensor, found {self.name} stopped",
                hint=f"afresh sensors resume {self.name}",
            )
        before = self._objects.acknowledged
        await self._lister.scan(accept=accept)
        while len(self._looker) or len(self._objects):
            self._require_running()
            with anyio.move_on_after(0.05):
                await self._objects.progress()
        return self._objects.acknowledged - before

    async def hint(self, urls: Sequence[str]) -> None:
        """Look at objects that may have changed; returns when what follows is acknowledged.

        URLs of other buckets and names that do not match are passed over.
        """
        done = anyio.Event()
        left = len(urls)

        def one_less() -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set()

        self.look_at(urls, one_less)
        if urls:
            await done.wait()

    def look_at(self, urls: Iterable[str], then: Callable[[], None] = lambda: None) -> None:
        """Look at objects soon; `then` is called for each when what follows is acknowledged."""
        for url in urls:
            path = self._path_of(url)
            if path:
                self._looker.put(path, then)
            else:
                then()

    def confirm(self, uri: str, identity: ObjectIdentity) -> None:
        """Note what an ingest has read: then it is not news."""
        path, comparison = object_path(uri), self._lister.comparison
        if self._objects.confirm(path, identity) and comparison is not None:
            comparison.note_look(path, anyio.current_time(), there=True)

    def refusal(self, uri: str, key: str) -> str:
        """Say why not to read an object: others of its key are there."""
        return self._objects.refusal(object_path(uri), key)

    async def _drain(self, emit: Emit) -> None:
        while True:
            await self._objects.news()
            offers = self._objects.take(BATCH)
            try:
                await emit(Batch(self.name, tuple(offer.arrival for offer in offers.values())))
            except BaseException:
                self._objects.doubt()
                raise
            self._objects.acknowledge(offers)

    def _hidden(self, text: str) -> str:
        return hidden(text, self._secrets)

    def _taking_hints(self) -> AbstractContextManager[None]:
        return HINTS.taking(self._webhook, self.hint) if self._webhook else nullcontext()

    def _path_of(self, url: str) -> str:
        protocol, _, _ = url.partition("://")
        if PROTOCOLS.get(protocol, protocol) != self._protocol:
            return ""
        with suppress(UsageError):
            path = object_path(url)
            if self._objects.pattern.match(path) is not None:
                return path
        return ""

    def _require_running(self) -> None:
        if not self._running:
            raise SensorError(
                f"Expected {self.name} to go on, found that it stopped",
                hint="see afresh sensors for why",
            )

    def _say_look_error(self, error: str) -> None:
        if error != self._look_error:
            self._look_error = error
            self._tell()


def build(context: SensorContext) -> BucketSensor:
    """Build the sensor of a source. Raises SensorError for a secret that cannot be read."""
    options = context.source.sensor.options
    plain = options["storage_options"]
    store_options = resolve(plain)
    secrets = secrets_in(plain, store_options)
    protocol = str(options["protocol"])
    pattern = Pattern.parse(str(options["pattern"]))
    kind, _, rest = str(options["notifications"]).partition(":")
    notifications: Notifications | None = None
    if kind == "sqs":
        notifications = _from_sqs(rest, pattern, store_options, secrets)
    try:
        store = open_store(protocol, pattern, store_options)
    except SensorError as error:
        # From the cause's text; nobody is to see that one.
        raise SensorError(hidden(error.error, secrets), hint=error.hint) from None
    return BucketSensor(
        name=context.source.name,
        pattern=pattern,
        protocol=protocol,
        store=store,
        interval_seconds=float(options["interval_seconds"]),
        now=context.now,
        random=context.random,
        known={uri: _identity.decode(text) for uri, text in context.known.items() if text},
        notifications=notifications,
        webhook=rest if kind == "webhook" else "",
        secrets=secrets,
        tell=context.tell,
    )


def _from_sqs(
    queue: str, pattern: Pattern, options: Mapping[str, Any], secrets: Sequence[str]
) -> Notifications:
    try:
        # Lazy: aiobotocore costs 30 MB, and comes with s3fs.
        from afresh.sensors.buckets.sqs import SqsNotifications  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("aiobotocore", "botocore"):
            raise
        raise SensorError(
            "Expected aiobotocore to be installed, found no such distribution",
            hint="pip install 'afresh[s3]'",
        ) from error
    return SqsNotifications(queue, pattern, options, secrets)
