"""The bytes of originals that versions refer to (`keep="reference"`), by what their source says.

Imports no data library: `afresh verify` reads them too.
"""

from blake3 import blake3

from afresh.assets.errors import (
    ArtifactError,
    ChangedData,
    StorageUnavailable,
    VanishedData,
)
from afresh.assets.manifest import Source
from afresh.sensors.buckets.options import hidden, resolve, secrets_in
from afresh.sensors.buckets.url import object_path
from afresh.storage.formats.object_file import ObjectRead, read_object
from afresh.storage.references import Reference, changed_original


def reference_bytes(reference: Reference, expected: str, source: Source) -> bytes:
    """Read an original, by its version where it has one, and compare it with its hash.

    Raises ArtifactError when it is gone or other bytes are there, SensorError for a secret of the
    source that cannot be read.
    """
    url = reference.url
    try:
        data = read_original_object(source, url, reference.version).data
    except VanishedData as error:
        raise changed_original(url, "nothing") from error
    except ChangedData as error:
        raise changed_original(url, "that it changes") from error
    if blake3(data).hexdigest() != expected:
        raise changed_original(url, "other bytes")
    return data


def find_source(sources: tuple[Source, ...], name: str, reference: Reference) -> Source:
    """Find who says how an original is read. Raises ArtifactError when nobody does any more."""
    for source in sources:
        if source.name == name:
            return source
    raise ArtifactError(
        f"Expected source {name!r}, which says how {reference.url} is read, found no such source",
        hint="declare it again, or rebuild what was read from it",
    )


def read_original_object(source: Source, url: str, version: str = "") -> ObjectRead:
    """Read an object as `read_object` does, by what its source says of the store.

    No error shows a secret of it, nor do the causes.
    """
    plain = source.sensor.options.get("storage_options") or {}
    options = resolve(plain)
    try:
        return read_object(plain_url(url), options, url, version)
    except StorageUnavailable as error:
        if not (secrets := secrets_in(plain, options)):
            raise
        raise StorageUnavailable(hidden(error.error, secrets), hint=error.hint) from None


def plain_url(url: str) -> str:
    """Give an object's URL with nothing in it encoded, as fsspec takes it."""
    protocol, _, _ = url.partition("://")
    lead = "/" if protocol in ("file", "memory") else ""
    return f"{protocol}://{lead}{object_path(url)}"
