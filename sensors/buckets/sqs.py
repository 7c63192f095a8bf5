"""S3's notifications through SQS: each message is a hint, deleted when what follows is recorded."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from afresh.assets.partition import Pattern
from afresh.sensors.buckets.messages import objects_of
from afresh.sensors.buckets.options import hidden

LONG_POLL_SECONDS = 20
MOST_AT_ONCE = 10
"""Messages in one answer, and in one deletion: SQS's own bound."""
RECEIVERS = 2
MOST_UNDER_WAY = 1_000
DELETE_WITHIN_SECONDS = 0.2
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
_DEADLINE_SECONDS = LONG_POLL_SECONDS + 15.0
_ERRORS = (BotoCoreError, ClientError, OSError, TimeoutError)
_log = logging.getLogger("afresh.sensors")


class SqsNotifications:
    """One queue. `queue` is `//name`, or a queue's URL; the options are those of the bucket."""

    def __init__(
        self,
        queue: str,
        pattern: Pattern,
        options: Mapping[str, Any],
        secrets: Collection[str] = (),
    ) -> None:
        self.error = ""
        self._secrets = secrets
        self.received = 0
        self._pattern = pattern
        self._url, self._name, self._client_options = _address(queue, options)
        self._session_options = {"profile": options.get("profile")}
        self._under_way = 0
        self._deletable: deque[str] = deque()
        self._done = anyio.Event()

    async def run(self, look: Callable[[str, Callable[[], None]], None]) -> None:
        """Receive until cancelled; goes on by itself after errors."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            received = self.received
            try:
                async with self._client() as client, anyio.create_task_group() as tasks:
                    url = self._url or await self._find(client)
                    tasks.start_soon(self._delete, client, url)
                    for _ in range(RECEIVERS):
                        tasks.start_soon(self._receive, client, url, look)
            except* _ERRORS as errors:
                self.error = hidden(_line(errors), self._secrets)
                _log.warning(
                    "Expected notifications from the queue %s, found: %s",
                    self._url or self._name,
                    self.error,
                )
            if self.received > received:
                pause = FIRST_PAUSE_SECONDS
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        session = AioSession(**{k: v for k, v in self._session_options.items() if v})
        # A long poll is no time-out; what failed is asked again here, with our pauses.
        config = AioConfig(
            connect_timeout=10,
            read_timeout=LONG_POLL_SECONDS + 10,
            retries={"max_attempts": 1, "mode": "standard"},
        )
        async with session.create_client("sqs", config=config, **self._client_options) as client:
            yield client

    async def _find(self, client: Any) -> str:
        with anyio.fail_after(_DEADLINE_SECONDS):
            answer = await client.get_queue_url(QueueName=self._name)
        return str(answer["QueueUrl"])

    async def _receive(
        self, client: Any, url: str, look: Callable[[str, Callable[[], None]], None]
    ) -> None:
        while True:
            while self._under_way >= MOST_UNDER_WAY:
                if self._done.is_set():
                    self._done = anyio.Event()
                await self._done.wait()
            with anyio.fail_after(_DEADLINE_SECONDS):
                answer = await client.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=MOST_AT_ONCE,
                    WaitTimeSeconds=LONG_POLL_SECONDS,
                )
            self.error = ""
            for message in answer.get("Messages", ()):
                self.received += 1
                self._take(message, look)

    def _take(
        self, message: Mapping[str, Any], look: Callable[[str, Callable[[], None]], None]
    ) -> None:
        paths = objects_of(message["Body"])
        if paths is None:
            _log.warning("a message of no form that S3 has is dropped: %.100r", message["Body"])
        ours = [path for path in paths or () if self._pattern.match(path) is not None]
        self._under_way += 1
        left = max(1, len(ours))

        def one_less(receipt: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                self._under_way -= 1
                self._deletable.append(receipt)
                self._done.set()

        for path in ours:
            look(path, partial(one_less, message["ReceiptHandle"]))
        if not ours:
            one_less(message["ReceiptHandle"])

    async def _delete(self, client: Any, url: str) -> None:
        """Delete what is done. What cannot be deleted comes again, and is no news then."""
        while True:
            if not self._deletable:
                await anyio.sleep(DELETE_WITHIN_SECONDS)
                continue
            count = min(len(self._deletable), MOST_AT_ONCE)
            receipts = [self._deletable.popleft() for _ in range(count)]
            entries = [{"Id": str(i), "ReceiptHandle": r} for i, r in enumerate(receipts)]
            with anyio.fail_after(_DEADLINE_SECONDS):
                await client.delete_message_batch(QueueUrl=url, Entries=entries)


def _address(queue: str, options: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Give the queue's URL or its name, and how its server is reached."""
    client: dict[str, Any] = dict(options.get("client_kwargs") or {})
    client.setdefault("region_name", "us-east-1" if options.get("endpoint_url") else None)
    endpoint = options.get("endpoint_url") or client.get("endpoint_url")
    for ours, theirs in (
        ("key", "aws_access_key_id"),
        ("secret", "aws_secret_access_key"),
        ("token", "aws_session_token"),
    ):
        if options.get(ours):
            client[theirs] = options[ours]
    if queue.startswith("//") and "/" in queue.strip("/"):
        queue = f"https:{queue}"  # a queue's URL, with sqs:// before its host
    parts = urlsplit(queue)
    url = name = ""
    if parts.netloc and parts.scheme:
        url, endpoint = queue, f"{parts.scheme}://{parts.netloc}"
        host = (parts.hostname or "").split(".")
        if len(host) > 2 and host[0] == "sqs":
            client["region_name"] = host[1]
    else:
        name = queue.strip("/")
    client["endpoint_url"] = endpoint
    return url, name, {k: v for k, v in client.items() if v is not None}


def _line(errors: BaseExceptionGroup[Any]) -> str:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first) or type(first).__name__
