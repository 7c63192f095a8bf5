"""Who sends arrivals in the campaign of outages, and what of it may fail.

A party is one source of the project: it sends numbered arrivals past the proxies, so that what it
sent is known for sure, and the daemon is reached by it through them.
"""

import http.client
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3

from services.fault_proxy import FaultProxy
from services.stores import ObjectStore
from support.hooks import post
from support.project import rename_in

HOT = 5
"""Every fifth arrival of a keyed source overwrites one of ten keys; the others are new ones."""
_AGAIN_SECONDS = 0.5
_CALLERS = 32


class Party(Protocol):
    """One source of the project. `proxies` is what may fail, by name; {} for what never does."""

    name: str
    declaration: str
    """Its part of the definitions: the source of this name, and an asset `NAME_made` of it."""
    settings: str
    """Its part of afresh.toml."""
    proxies: dict[str, FaultProxy]

    def begin(self, folder: Path) -> None:
        """Get ready to send: the project is in this folder."""
        ...

    def send(self, number: int) -> None:
        """Send one arrival; returns when it is on its way for sure."""
        ...

    def sent(self) -> dict[str, list[tuple[int, float]]]:
        """Tell what was sent by now: by place (an event's uri, or in it) the numbers and times."""
        ...

    def places(self, uri: str) -> Iterable[str]:
        """Give what an event of this uri brought, in the words of `sent`."""
        ...

    def held(self) -> list[int]:
        """Give the numbers that the source must hold in the end, sorted."""
        ...

    def close(self) -> None:
        """End: all that was sent has been taken."""
        ...


class Keyed:
    """A source of keys: each holds the last number that was written to it."""

    proxies: dict[str, FaultProxy]
    settings = ""
    _SOURCE = """
{name} = source("{name}", {sensor}, schema=Number)


@asset(partitions="{name}")
def {name}_made({name}: DataFrame[Number]) -> DataFrame[Number]:
    return {name}.assign(n={name}["n"] * 2)
"""

    def __init__(self, name: str, sensor: str) -> None:
        self.name = name
        self.declaration = self._SOURCE.format(name=name, sensor=sensor)
        self.proxies = {}
        self._sent: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def send(self, number: int) -> None:
        """Write a key."""
        key = f"hot{number // HOT % 10}" if number % HOT == 0 else f"k{number:06}"
        at = time.time()
        self._sent[self._write(key, f"n\n{number}\n".encode())].append((number, at))

    def sent(self) -> dict[str, list[tuple[int, float]]]:
        """Tell what was written."""
        return dict(self._sent)

    def places(self, uri: str) -> list[str]:
        """Give the one key."""
        return [uri]

    def held(self) -> list[int]:
        """Give the last number of each key."""
        return sorted(wrote[-1][0] for wrote in self._sent.values())

    def close(self) -> None:
        """Close the proxies."""
        for proxy in self.proxies.values():
            proxy.close()

    def _write(self, key: str, data: bytes) -> str:
        raise NotImplementedError


class Files(Keyed):
    """Files in a folder: nothing stands between."""

    def __init__(self) -> None:
        super().__init__("landed", 'files("landing/{key}.csv")')

    def begin(self, folder: Path) -> None:
        """Note the folder."""
        self._folder = folder / "landing"

    def _write(self, key: str, data: bytes) -> str:
        rename_in(self._folder / f"{key}.csv", data)
        return f"landing/{key}.csv"


class Bucket(Keyed):
    """Objects of S3 and their notifications: the store and the queue may fail, each alone."""

    def __init__(self, store: ObjectStore) -> None:
        self._bucket = store.new_bucket()
        s3 = boto3.client("s3", endpoint_url=store.endpoint)
        sqs = boto3.client("sqs", endpoint_url=store.endpoint)
        url = sqs.create_queue(QueueName=self._bucket)["QueueUrl"]
        names = ["QueueArn"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"]
        told = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
        s3.put_bucket_notification_configuration(
            Bucket=self._bucket, NotificationConfiguration={"QueueConfigurations": [told]}
        )
        self._s3: Any = s3
        proxies = {name: FaultProxy(("127.0.0.1", store.port)) for name in ("store", "queue")}
        queue = f"http://{proxies['queue'].address}{urlsplit(url).path}"
        super().__init__(
            "lake",
            f'bucket("s3://{self._bucket}/numbers/{{key}}.csv", interval=10,'
            f' notifications="sqs:{queue}",'
            f' storage_options={{"endpoint_url": "http://{proxies["store"].address}"}})',
        )
        self.proxies = proxies

    def begin(self, folder: Path) -> None:
        """Do nothing: the bucket is there."""

    def _write(self, key: str, data: bytes) -> str:
        name = f"numbers/{key}.csv"
        self._s3.put_object(Bucket=self._bucket, Key=name, Body=data)
        return f"s3://{self._bucket}/{name}"


class Webhook:
    """Callers of the daemon who call until they are told that it was taken, as senders do."""

    name = "calls"
    declaration = """
calls = source("calls", webhook("/hooks/orders", secret=env("ORDERS_SECRET"), rate=None),
               schema=Number)


@asset(new="calls")
def calls_made(calls: DataFrame[Number]) -> DataFrame[Number]:
    return calls.assign(n=calls["n"] * 2)
"""

    def __init__(self, port: int) -> None:
        self.settings = f'http = "127.0.0.1:{port}"\n'
        self.proxies = {"callers": FaultProxy(("127.0.0.1", port))}
        self._url = f"http://{self.proxies['callers'].address}"
        self._sent: dict[str, list[tuple[int, float]]] = {}
        self._callers = ThreadPoolExecutor(_CALLERS, "caller")
        self._ended = threading.Event()
        self.wrong: list[str] = []

    def begin(self, folder: Path) -> None:
        """Do nothing."""

    def send(self, number: int) -> None:
        """Have somebody call until it is taken."""
        self._sent[f"webhook:/hooks/orders#evt-{number}"] = [(number, time.time())]
        self._callers.submit(self._call, number)

    def sent(self) -> dict[str, list[tuple[int, float]]]:
        """Tell what was called."""
        return dict(self._sent)

    def places(self, uri: str) -> list[str]:
        """Give the one call."""
        return [uri]

    def held(self) -> list[int]:
        """Give every number: none overwrites another."""
        return sorted(number for ((number, _),) in self._sent.values())

    def close(self) -> None:
        """Let callers end."""
        self._ended.set()
        self._callers.shutdown()
        for proxy in self.proxies.values():
            proxy.close()

    def _call(self, number: int) -> None:
        while not self._ended.is_set():
            try:
                status, _, said = post(self._url, b'{"n": %d}' % number, key=f"evt-{number}")
            except (OSError, http.client.HTTPException, ValueError):
                status, said = 503, {}
            if status == 202:
                return
            if status not in (408, 429, 503):
                self.wrong.append(f"{number}: {status} {said}")
                return
            self._ended.wait(_AGAIN_SECONDS)
