"""Which adapter opens a store. Its client is loaded here: nobody pays for one that is not used."""

from collections.abc import Mapping
from typing import Any

from afresh.assets.errors import SensorError
from afresh.assets.partition import Pattern
from afresh.sensors.buckets.store import Store
from afresh.sensors.routes import literal_prefix

_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}


def open_store(protocol: str, pattern: Pattern, options: Mapping[str, Any]) -> Store:
    """Open the store of a pattern. Raises SensorError when its client is not installed."""
    prefix = literal_prefix(pattern)
    try:
        if protocol == "s3":
            # Lazy, as all below: s3fs with aiobotocore takes 35 MB.
            from afresh.sensors.buckets.s3 import S3Store  # noqa: PLC0415

            bucket, _, name = prefix.partition("/")
            return S3Store(bucket, name, options)
        if protocol in ("gs", "az"):
            from afresh.sensors.buckets.tokens import AzureStore, GcsStore  # noqa: PLC0415

            return (GcsStore if protocol == "gs" else AzureStore)(prefix, options)
        from afresh.sensors.buckets.folders import FolderStore  # noqa: PLC0415

        return FolderStore(protocol, pattern.root, options, recursive=pattern.recursive)
    except (ImportError, ValueError, TypeError) as error:
        extra = _EXTRAS.get(protocol, "")
        package = f"'afresh[{extra}]'" if extra else "the package of fsspec that has it"
        raise SensorError(
            f"Expected a store of {protocol}://, found: {error}",
            hint=f"pip install {package}; else correct storage_options",
        ) from error
