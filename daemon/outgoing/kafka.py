"""Sends events to a topic, acknowledged by all replicas; the unit is the key, so order holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from afresh.daemon.outgoing.base import Delivered, TargetError
from afresh.sensors.cloudevents import STRUCTURED, from_json
from afresh.sensors.depth import ATTRIBUTE, HEADER
from afresh.sensors.kafka_topics.security import client_settings

SEND_SECONDS = 30.0


class KafkaTarget:
    """One topic. The producer is made anew after any error: what it still holds is not known."""

    def __init__(
        self, servers: Sequence[str], topic: str, security: Mapping[str, Any], project: str
    ) -> None:
        self._servers = list(servers)
        self._topic = topic
        self._security = security
        self._project = project
        self._producer: Any = None

    async def deliver(self, events: Sequence[bytes]) -> Delivered:
        """Send all, wait for all; those before the first that failed count."""
        taken, sent = 0, list[Any]()
        try:
            with anyio.fail_after(SEND_SECONDS):
                refused = await self._send(events, sent)
                for each in sent:
                    await each
                    taken += 1
        except TimeoutError:
            error = f"Expected Kafka to answer within {SEND_SECONDS:.0f} s, found none"
        except Exception as raised:  # noqa: BLE001 - whatever the client raises costs this target alone
            error = _say(raised)
        else:
            if refused is None:
                return Delivered(taken)
            error = _say(refused)
        await self.aclose()
        return Delivered(taken, error)

    async def _send(self, events: Sequence[bytes], sent: list[Any]) -> Exception | None:
        """Hand all to the producer, up to one that it does not take, such as one too large."""
        producer = await self._connect()
        for event in events:
            try:
                sent.append(await producer.send(self._topic, **_message(event)))
            except Exception as error:  # noqa: BLE001 - told when those before it are acknowledged
                return error
        return None

    async def aclose(self) -> None:
        """Drop the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with anyio.move_on_after(5, shield=True):
                await producer.stop()

    async def _connect(self) -> Any:
        if self._producer is None:
            try:
                # Lazy: an extra, and 15 MB that only this target needs.
                from aiokafka import AIOKafkaProducer  # noqa: PLC0415
            except ImportError as error:
                raise TargetError(
                    "Expected aiokafka, found that it is not installed",
                    hint='pip install "afresh[kafka]"',
                ) from error
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                acks="all",
                enable_idempotence=True,
                **client_settings(self._security, self._project),
            )
            try:
                await producer.start()
            except BaseException:
                with anyio.move_on_after(5, shield=True):
                    await producer.stop()
                raise
            self._producer = producer
        return self._producer


def _say(error: Exception) -> str:
    return f"Expected Kafka to take events, found {str(error) or type(error).__name__}"


def _message(event: bytes) -> dict[str, Any]:
    attributes = from_json(event).attributes
    unit = attributes["subject"].rpartition("@")[0] or attributes["subject"]
    headers = [("content-type", STRUCTURED.encode())]
    if ATTRIBUTE in attributes:
        headers.append((HEADER, attributes[ATTRIBUTE].encode()))
    return {"value": event, "key": unit.encode(), "headers": headers}
