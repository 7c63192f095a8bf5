"""Versions whose data is the original itself (`keep="reference"`): how their uri is written.

`s3://lake/flights/1.parquet#reference,version=3HL4`: the object's URL as in the journal, and the
store's version of it where it has versions. Nothing that is kept so is ever deleted by afresh.
"""

from typing import NamedTuple
from urllib.parse import quote, unquote

from afresh.assets.errors import ArtifactError

_MARK = "#reference"
_VERSION = ",version="


class Reference(NamedTuple):
    """An original: its URL (`#` and `?` in names are percent-encoded), its version or ""."""

    url: str
    version: str


def reference_uri(url: str, version: str = "") -> str:
    """Write the uri of a version whose data is the original at `url`."""
    return f"{url}{_MARK}" + (f"{_VERSION}{quote(version, safe='')}" if version else "")


def parse_reference(uri: str) -> Reference | None:
    """Read what `reference_uri` wrote; None for the uri of an artifact."""
    url, found, rest = uri.rpartition(_MARK)
    if not found or (rest and not rest.startswith(_VERSION)):
        return None
    return Reference(url, unquote(rest.removeprefix(_VERSION)))


def changed_original(url: str, detail: str) -> ArtifactError:
    """Make the error for an original that is not what it was when it was read."""
    return ArtifactError(
        f"Expected the original {url} as it was when it was read, found {detail}",
        hint='restore it, turn on the store\'s versioning, or keep="data" to have copies',
    )
