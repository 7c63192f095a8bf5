"""`bucket(...)`: how a source says which objects of a store it is made of. A pure declaration."""

from collections.abc import Mapping
from typing import Any

import msgspec

from afresh.assets.declare import Declared, Option
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Sensor
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import Pattern
from afresh.sensors.buckets.options import as_plain, check_options
from afresh.sensors.buckets.url import split_url

INTERVAL_SECONDS = 60.0
"""How often all objects are listed; notifications make that rare on the way from an arrival."""


class BucketSpec(msgspec.Struct, frozen=True):
    """Objects of a store, as `bucket(...)` was called; checked when the definitions load."""

    url: str
    format: str = ""
    options: Mapping[str, Option] = {}
    key_columns: bool = False
    storage_options: Mapping[str, Any] = {}
    interval: float = INTERVAL_SECONDS
    notifications: str = ""

    def declared(self) -> Declared:
        """Work it out. Raises DefinitionError for a URL or option that cannot be."""
        protocol, path = split_url(self.url)
        _check_protocol(protocol)
        _check_interval(self.interval)
        _check_notifications(self.notifications, protocol)
        check_options(self.storage_options)
        for name, value in self.options.items():
            if value is not None and not isinstance(value, str | int | float | bool):
                raise DefinitionError(
                    f"Expected plain values as options of a format, found {name}={value!r}",
                    hint="options are strings, numbers, booleans or None",
                )
        pattern = Pattern.parse(path)
        if not pattern.root:
            raise DefinitionError(
                f"Expected a bucket and a name in it, found {self.url!r}",
                hint='write bucket("s3://lake/flights/{day}.parquet")',
            )
        if self.key_columns and not pattern.captures:
            raise DefinitionError(
                f"Expected captures for key_columns=True, found none in {self.url!r}",
                hint="write s3://lake/flights/{day}.parquet, or leave key_columns out",
            )
        options: dict[str, Any] = {
            "protocol": protocol,
            "pattern": path,
            "interval_seconds": float(self.interval),
            "notifications": self.notifications,
            "storage_options": as_plain(self.storage_options),
        }
        return Declared(
            sensor=Sensor("bucket", options),
            captures=pattern.captures,
            format=self.format,
            options=dict(self.options),
            key_columns=self.key_columns,
        )


def bucket(
    url: str,
    *,
    format: str = "",  # noqa: A002 - the word users know
    options: Mapping[str, Option] | None = None,
    key_columns: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    interval: float = INTERVAL_SECONDS,
    notifications: str = "",
) -> BucketSpec:
    """Watch objects of a store: `bucket("s3://lake/flights/{day}.parquet")`.

    Any store that fsspec has: `s3://` (`pip install 'afresh[s3]'`), `gs://` (`[gcs]`), `az://` and
    `abfs://` (`[azure]`), `file://`, `memory://`. What is in braces makes the partition key; an
    object of that name is a unit's data, as a file is. Objects whose names do not match are not
    looked at. `format`, `options` and `key_columns` are as those of `files(...)`.

    All objects below the pattern's static part are listed again and again, so that each change is
    known within `interval` seconds: the next listing begins as much earlier as one takes, and some
    (at the earliest after a quarter of it). What is new or has another etag arrives; what is absent
    from a whole listing, and a second later from a listing of its name, is deleted. If more than
    half is gone at once the sensor fails, and nothing counts as deleted until the objects are back,
    or `afresh sensors scan NAME --accept` confirms it.

    `notifications` make reaction take moments, and the listing finds what they lose:
    `"sqs://queue"` (a name, or the queue's whole URL after `sqs:`) reads what S3 sends to SQS, by
    itself, through SNS or EventBridge (a queue of this source's own); `"webhook:/hooks/lake"` takes
    what GCS (Pub/Sub, Eventarc), Azure (Event Grid) and S3 (SNS, EventBridge) post to that path of
    the daemon's HTTP server. It need not be signed: a hint does nothing but have an object looked
    at.
    Messages may be lost, doubled or out of order: each only means 'look at this object'.

    `storage_options` go to fsspec's file system (`endpoint_url`, `anon`, `profile`,
    `client_kwargs={"region_name": ...}`). Credentials come from where the store's own tools find
    them (environment, `~/.aws`, instance roles, `GOOGLE_APPLICATION_CREDENTIALS`), or by name:
    `storage_options={"key": env("LAKE_KEY"), "secret": secret_file("/run/secrets/lake")}`.
    """
    return BucketSpec(
        url, format, options or {}, key_columns, storage_options or {}, interval, notifications
    )


def _check_protocol(protocol: str) -> None:
    # Lazy: definitions with a bucket alone pay for it. It imports no store's client.
    from fsspec.registry import available_protocols, registry  # noqa: PLC0415

    known = {*available_protocols(), *registry}
    if protocol not in known:
        raise DefinitionError(
            f"Expected a store that fsspec knows, found {protocol + '://'!r}",
            hint=did_you_mean(protocol, known, 'write bucket("s3://lake/flights/{day}.parquet")'),
        )


def _check_interval(value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < float(value) < float("inf"):  # type: ignore[arg-type]
        raise DefinitionError(
            f"Expected interval in seconds, found {value!r}", hint="write interval=60"
        )


def _check_notifications(value: object, protocol: str) -> None:
    if not value:
        return
    kind, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind == "webhook" and rest.startswith("/"):
        return
    if kind == "sqs" and rest.strip("/"):
        if protocol == "s3":
            return
        raise DefinitionError(
            f"Expected notifications of {protocol} by a webhook, found {value!r}",
            hint='SQS tells of S3 alone; write notifications="webhook:/hooks/lake"',
        )
    raise DefinitionError(
        f"Expected notifications from sqs: or webhook:, found {value!r}",
        hint='write notifications="sqs://queue" or notifications="webhook:/hooks/lake"',
    )
