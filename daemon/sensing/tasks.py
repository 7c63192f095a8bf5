"""A sensor with a task of its own: run, and run again after a pause that grows when it fails."""

import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from afresh.assets.errors import AfreshError
from afresh.sensors.backoff import Backoff
from afresh.sensors.base import Batch, Emit, Sensor

_log = logging.getLogger("afresh.sensors")
WELL_SECONDS = 60.0
"""Who ran so long begins with the first pause again when it fails."""


class Ending(Protocol):
    """A sensor that was stopped."""

    async def wait_recorded(self) -> None:
        """Return when what it handed on is recorded, or refused."""
        ...

    async def wait_ended(self) -> None:
        """Return when it does nothing more, besides."""
        ...


class _Offer:
    """A batch on its way to the ledger; it arrives there though its sensor is stopped meanwhile."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.error: Exception | None = None
        self.is_abandoned = False
        """The daemon ends: whether it is recorded is for the ledger to say at the next start."""
        self.ended = anyio.Event()


class SensorTask:
    """Runs one sensor until it is stopped; `error` is why it is not running at the moment.

    `record` returns when a batch is recorded, `room` when more of a source may come.
    """

    def __init__(
        self,
        sensor: Sensor,
        record: Emit,
        room: Callable[[str], Awaitable[None]],
        *,
        tasks: TaskGroup,
        random: Random,
        now: Callable[[], float],
        tell: Callable[[], None],
    ) -> None:
        self.sensor = sensor
        self.error = ""
        self._record = record
        self._room = room
        self._tasks = tasks
        self._offers: set[_Offer] = set()
        self._backoff = Backoff(random)
        self._now = now
        self._tell = tell
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()

    def stop(self) -> None:
        """Ask for the end; what is not acknowledged is found again by the next start."""
        self._scope.cancel()

    async def wait_ended(self) -> None:
        """Return when the sensor does nothing more, and what it handed on is recorded or not.

        Only then the ledger says where the next one goes on.
        """
        await self._ended.wait()
        await self.wait_recorded()

    async def wait_recorded(self) -> None:
        """Return when what it has handed on is recorded or not; once stopped, it is its last."""
        for offer in list(self._offers):
            await offer.ended.wait()

    async def run(self) -> None:
        """Run until stopped. Whatever the sensor raises costs it alone."""
        with self._scope:
            while True:
                started_at = self._now()
                error = await self._try()
                if self._now() - started_at > WELL_SECONDS:
                    self._backoff.reset()
                if error != self.error:
                    self.error = error
                    self._tell()
                await anyio.sleep(self._backoff.next_seconds())
                # What it handed on is in the ledger, or refused, before it looks again.
                await self.wait_recorded()
        self._ended.set()

    async def _try(self) -> str:
        async def emit(batch: Batch) -> None:
            # Before, as one that is stopped while it waits has to know what became of its batch.
            await self._room(batch.sensor)
            await anyio.lowlevel.checkpoint_if_cancelled()
            offer = _Offer(batch)
            self._offers.add(offer)
            self._tasks.start_soon(self._hand_on, offer)
            # In any case: one that fails meanwhile is run again as it is, and would bring it twice.
            with anyio.CancelScope(shield=True):
                await offer.ended.wait()
            if offer.is_abandoned:
                await anyio.sleep_forever()  # until all are cancelled, which has begun
            if offer.error is not None:
                raise offer.error
            if self.error:
                self.error = ""
                self._tell()

        try:
            await self.sensor.run(emit)
        except Exception as caught:  # noqa: BLE001 - whatever it is, it costs this sensor alone
            error = _first(caught)
            known = isinstance(error, AfreshError)
            _log.warning(
                "sensor %s failed: %s", self.sensor.name, error, exc_info=None if known else error
            )
            return str(error) or type(error).__name__
        return "it ended by itself"

    async def _hand_on(self, offer: _Offer) -> None:
        try:
            await self._record(offer.batch)
        except Exception as error:  # noqa: BLE001 - it is the sensor's, who waits for it
            offer.error = error
        except BaseException:
            offer.is_abandoned = True
            raise
        finally:
            self._offers.discard(offer)
            offer.ended.set()


def _first(error: Exception) -> Exception:
    """Give what was raised; a sensor that has tasks of its own wraps it in groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
